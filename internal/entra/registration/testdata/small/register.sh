#!/usr/bin/env bash
# Registers MCP server mcp.contoso.com in Microsoft Entra ID.
#
# Run it as often as you like, as an Application Administrator: every step looks
# first and changes only what differs; what others have added stays. It needs the
# Azure CLI and jq; Azure Cloud Shell (https://shell.azure.com) has both.
# Written by: mcpctl setup entra
# shellcheck disable=SC2016 # jq's programs have variables of their own
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tenant='11111111-1111-1111-1111-111111111111'
cloud='AzureCloud'
login='https://login.microsoftonline.com'
graph='https://graph.microsoft.com'
api_key='mcpctl-mcp.contoso.com-mcp'
api_name='MCP server mcp.contoso.com'
client_key='mcpctl-mcp.contoso.com-mcp-client'
client_name='MCP server mcp.contoso.com (client)'
# Application ID URIs, besides api://APP-ID.
identifier_uris='["https://mcp.contoso.com/mcp"]'
scopes='[{"id":"8dd2743b-bd9a-87c0-b8b0-e8e9af960693","value":"Mcp.Access","type":"User","isEnabled":true,"adminConsentDisplayName":"Use this MCP server: Mcp.Access","adminConsentDescription":"Allows the application to use the tools of this MCP server on behalf of the person who signed in.","userConsentDisplayName":"Use this MCP server: Mcp.Access","userConsentDescription":"Allows the application to use the tools of this MCP server on your behalf."}]'
roles='[]'
claims='[{"name":"idtyp","essential":false},{"name":"xms_cc","essential":false}]'
# Clients of Microsoft's that need no consent.
preauthorized='[]'
redirect_uris='["http://localhost","http://127.0.0.1"]'
assignment_required=false

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

scratch=$(mktemp -d)
step='checking the tools'
finish() {
  local code=$?
  rm -rf "$scratch"
  if [ "$code" -ne 0 ]; then
    say "Stopped while $step. Nothing is lost: run this again to go on from here."
  fi
}
trap finish EXIT

for tool in az jq; do
  command -v "$tool" >/dev/null || fail "$tool is missing. Install it, or use https://shell.azure.com, which has it."
done

# request METHOD PATH [OPTION...]: one request to Microsoft Graph. What went
# wrong is in $scratch/error.txt.
request() {
  local method=$1 path=$2
  shift 2
  az rest --method "$method" --url "$graph/v1.0/$path" --resource "$graph" --output json "$@" 2>"$scratch/error.txt"
}

# complain says what went wrong, and what to do where that is known.
complain() {
  cat "$scratch/error.txt" >&2
  if grep -qiE 'verified domain|HostNameNotOnVerifiedDomain' "$scratch/error.txt"; then
    say 'Entra wants the Application ID URI on a domain that the tenant has verified:'
    say '  Entra admin center > Domain names > Add custom domain'
    say 'or an api:// address instead: mcpctl setup entra --app-id-uri api'
  fi
  return 1
}

# send METHOD PATH [HEADER...]: sends $scratch/body.json.
send() {
  local method=$1 path=$2
  shift 2
  request "$method" "$path" --headers Content-Type=application/json "$@" --body "@$scratch/body.json"
}

# patiently COMMAND...: what Entra has just made is not known everywhere at once.
patiently() {
  local left
  for left in 5 4 3 2 1 0; do
    if "$@"; then
      return 0
    fi
    if [ "$left" -eq 0 ] || ! grep -qE 'ResourceNotFound|NoBackingApplicationObject' "$scratch/error.txt"; then
      break
    fi
    say '  … waiting for Entra'
    sleep "${MCPCTL_SETUP_WAIT:-5}"
  done
  complain
}

# look PATH: puts the object into found, nothing where there is none.
look() {
  if found=$(request get "$1"); then
    return 0
  fi
  found=
  grep -q ResourceNotFound "$scratch/error.txt" || complain
}

# application KEY NAME: makes the application if it is missing, and puts its
# client id into found_id.
application() {
  local path="applications(uniqueName='$1')"
  look "$path"
  if [ -n "$found" ]; then
    say "  = application $2"
  else
    jq -n --arg name "$2" '{displayName: $name, signInAudience: "AzureADMyOrg"}' >"$scratch/body.json"
    if ! send patch "$path" Prefer=create-if-missing >/dev/null; then
      say 'A deleted application keeps its name for 30 days. If that is the reason:'
      say '  Entra admin center > App registrations > Deleted applications > restore it, or delete it for good'
      complain
    fi
    found=$(patiently request get "$path")
    say "  + application $2"
  fi
  found_id=$(jq -er .appId <<<"$found")
}

# principal APP-ID: makes the service principal if it is missing.
principal() {
  look "servicePrincipals(appId='$1')"
  if [ -n "$found" ]; then
    say '  = service principal'
  else
    jq -n --arg id "$1" '{appId: $id}' >"$scratch/body.json"
    patiently send post servicePrincipals >/dev/null
    say '  + service principal'
  fi
}

# ensure WHAT PATH PROGRAM [OPTION...]: PROGRAM makes of an object's properties
# what they should be; those that differ are sent.
ensure() {
  local what=$1 path=$2 program=$3 now
  shift 3
  step="setting $what"
  now=$(patiently request get "$path")
  jq -c "$@" ". as \$now | ($program) | with_entries(select(.value != \$now[.key]))" <<<"$now" >"$scratch/body.json"
  if [ "$(<"$scratch/body.json")" = '{}' ]; then
    say "  = $what"
  else
    patiently send patch "$path" >/dev/null
    say "  + $what"
  fi
}

step='checking the sign-in'
present=$(az account show --query tenantId --output tsv 2>/dev/null) ||
  fail "Nobody is signed in. Run: az login --tenant $tenant --allow-no-subscriptions"
[ "$present" = "$tenant" ] ||
  fail "The Azure CLI is signed in to tenant $present. Run: az login --tenant $tenant --allow-no-subscriptions"
present=$(az cloud show --query name --output tsv)
[ "$present" = "$cloud" ] ||
  fail "The Azure CLI is set to $present. Run: az cloud set --name $cloud, then az login --tenant $tenant --allow-no-subscriptions"

say "The API: $api_name"
step='registering the API'
application "$api_key" "$api_name"
api_id=$found_id
api="applications(appId='$api_id')"
principal "$api_id"
ensure 'name' "$api" '{displayName: $name, signInAudience: "AzureADMyOrg"}' --arg name "$api_name"
# Before the Application ID URI, which Entra may refuse otherwise.
ensure 'access tokens of version 2' "$api" '{api: (.api + {requestedAccessTokenVersion: 2})}'
ensure 'Application ID URIs' "$api" \
  '{identifierUris: (.identifierUris + (($uris + ["api://" + $id]) - .identifierUris))}' \
  --argjson uris "$identifier_uris" --arg id "$api_id"
ensure 'scopes' "$api" \
  '.api.oauth2PermissionScopes as $have
   | {api: (.api + {oauth2PermissionScopes: ($have + [$scopes[] | select(.value as $v | all($have[]; .value != $v))])})}' \
  --argjson scopes "$scopes"
ensure 'app roles' "$api" \
  '.appRoles as $have | {appRoles: ($have + [$roles[] | select(.value as $v | all($have[]; .value != $v))])}' \
  --argjson roles "$roles"
ensure 'optional claims' "$api" \
  '((.optionalClaims // {}).accessToken // []) as $have
   | ($have + [$claims[] | select(.name as $n | all($have[]; .name != $n))]) as $want
   | if $want == $have then {} else {optionalClaims: ((.optionalClaims // {}) + {accessToken: $want})} end' \
  --argjson claims "$claims"
ensure 'assignment' "servicePrincipals(appId='$api_id')" '{appRoleAssignmentRequired: $required}' \
  --argjson required "$assignment_required"

say "The client: $client_name"
step='registering the client'
application "$client_key" "$client_name"
client_id=$found_id
client="applications(appId='$client_id')"
principal "$client_id"
ensure 'name' "$client" '{displayName: $name, signInAudience: "AzureADMyOrg"}' --arg name "$client_name"
ensure 'public client flows' "$client" '{isFallbackPublicClient: true}'
ensure 'redirect addresses' "$client" \
  '.publicClient.redirectUris as $have | {publicClient: (.publicClient + {redirectUris: ($have + ($uris - $have))})}' \
  --argjson uris "$redirect_uris"

# The ids of our scopes, whoever made them.
step='reading the scopes'
scope_ids=$(patiently request get "$api" | jq -c --argjson scopes "$scopes" \
  '[.api.oauth2PermissionScopes[] | select(.value as $v | any($scopes[]; .value == $v)) | .id]')
grant='(.requiredResourceAccess // []) as $have
  | ($have | map(select(.resourceAppId == $resource) | .resourceAccess[].id)) as $ids
  | ($want - $ids | map({id: ., type: "Scope"})) as $more
  | if ($more | length) == 0 then {}
    elif any($have[]; .resourceAppId == $resource)
    then {requiredResourceAccess: ($have | map(if .resourceAppId == $resource then .resourceAccess += $more else . end))}
    else {requiredResourceAccess: ($have + [{resourceAppId: $resource, resourceAccess: $more}])} end'
ensure 'permission to use the API' "$client" "$grant" --arg resource "$api_id" --argjson want "$scope_ids"

say 'Clients that need no consent'
ensure 'pre-authorized clients' "$api" \
  'if ($ids | length) == 0 then {} else
     {api: (.api + {
       preAuthorizedApplications: (reduce $clients[] as $c (.api.preAuthorizedApplications;
         if any(.[]; .appId == $c)
         then map(if .appId == $c then .delegatedPermissionIds += ($ids - .delegatedPermissionIds) else . end)
         else . + [{appId: $c, delegatedPermissionIds: $ids}] end)),
       knownClientApplications: (.api.knownClientApplications + ([$own] - .api.knownClientApplications))})}
   end' \
  --argjson ids "$scope_ids" --arg own "$client_id" \
  --argjson clients "$(jq -cn --arg own "$client_id" --argjson more "$preauthorized" '[$own] + $more')"

# The ids that others need to know.
step='writing the ids'
jq -n --arg tenant "$tenant" --arg api "$api_id" --arg client "$client_id" \
  '{tenant_id: $tenant, api_client_id: $api, public_client_id: $client}' >"$scratch/result.json"
former_api='00000000-0000-0000-0000-0000000000aa'
former_client='00000000-0000-0000-0000-0000000000cc'
if [ -s 'registration.json' ]; then
  former_api=$(jq -r '.api_client_id // empty' 'registration.json')
  former_client=$(jq -r '.public_client_id // empty' 'registration.json')
fi
for id in "$former_api" "$former_client"; do
  [[ $id =~ ^[0-9a-fA-F-]{36}$ ]] || fail 'registration.json is damaged. Delete it and run this again.'
done
for file in 'mcpctl.yaml' 'README.md' 'api.manifest.json' 'client.manifest.json' ; do
  [ -f "$file" ] || continue
  sed -e "s/00000000-0000-0000-0000-0000000000aa/$api_id/g; s/00000000-0000-0000-0000-0000000000cc/$client_id/g" \
    -e "s/$former_api/$api_id/g; s/$former_client/$client_id/g" "$file" >"$scratch/filled"
  cmp -s "$file" "$scratch/filled" || cat "$scratch/filled" >"$file"
done
cmp -s 'registration.json' "$scratch/result.json" || cp "$scratch/result.json" 'registration.json'

say
say 'Done. The ids are in registration.json and mcpctl.yaml.'
say 'Ask an administrator to agree for everybody, unless each person may:'
say "  $login/$tenant/adminconsent?client_id=$client_id"
say 'Next: mcpctl serve --config mcpctl.yaml'
