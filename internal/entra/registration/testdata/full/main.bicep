// Registers Contoso's "MCP" ${server} in Microsoft Entra ID.
//   az deployment group create --resource-group GROUP --template-file main.bicep
// The outputs are the ids for mcpctl.yaml. Compared with register.sh two things are
// missing, which a resource can't say about itself or in a circle: the address
// api://APP-ID, and the scopes among the API permissions of the client, which is
// pre-authorized for them instead.
extension microsoftGraphV1

resource client 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'mcpctl-mcp.contoso.com-mcp-client'
  displayName: 'Contoso\'s "MCP" \${server} (client)'
  signInAudience: 'AzureADMyOrg'
  isFallbackPublicClient: true
  publicClient: {
    redirectUris: [
      'http://localhost'
      'http://127.0.0.1'
      'https://claude.ai/api/mcp/auth_callback'
    ]
  }
}

resource clientPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: client.appId
}

resource api 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'mcpctl-mcp.contoso.com-mcp'
  displayName: 'Contoso\'s "MCP" \${server}'
  signInAudience: 'AzureADMyOrg'
  // Version 2 tokens: Entra takes the address of the server only with them.
  identifierUris: [
    'https://mcp.contoso.com/mcp'
    'https://mcp.contoso.com:8443/mcp'
  ]
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: 'f5fd30b0-2cf3-80f9-a542-af79e1daf5c0'
        value: 'Mcp.Read'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Use this MCP server: Mcp.Read'
        adminConsentDescription: 'Allows the application to use the tools of this MCP server on behalf of the person who signed in.'
        userConsentDisplayName: 'Use this MCP server: Mcp.Read'
        userConsentDescription: 'Allows the application to use the tools of this MCP server on your behalf.'
      }
      {
        id: '29a43756-d538-8d27-bd16-5824d0e018a0'
        value: 'Mcp.Write'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Use this MCP server: Mcp.Write'
        adminConsentDescription: 'Allows the application to use the tools of this MCP server on behalf of the person who signed in.'
        userConsentDisplayName: 'Use this MCP server: Mcp.Write'
        userConsentDescription: 'Allows the application to use the tools of this MCP server on your behalf.'
      }
    ]
    preAuthorizedApplications: [
      {
        appId: client.appId
        delegatedPermissionIds: [
          'f5fd30b0-2cf3-80f9-a542-af79e1daf5c0'
          '29a43756-d538-8d27-bd16-5824d0e018a0'
        ]
      }
      {
        appId: 'aebc6443-996d-45c2-90f0-388ff96faa56'
        delegatedPermissionIds: [
          'f5fd30b0-2cf3-80f9-a542-af79e1daf5c0'
          '29a43756-d538-8d27-bd16-5824d0e018a0'
        ]
      }
      {
        appId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
        delegatedPermissionIds: [
          'f5fd30b0-2cf3-80f9-a542-af79e1daf5c0'
          '29a43756-d538-8d27-bd16-5824d0e018a0'
        ]
      }
    ]
    knownClientApplications: [
      client.appId
    ]
  }
  appRoles: [
    {
      id: '6ebc0a0c-cd6b-8f70-83c5-ca7094a8d487'
      value: 'Mcp.Invoke'
      displayName: 'Mcp.Invoke'
      description: 'Is Mcp.Invoke at this MCP server.'
      allowedMemberTypes: [
        'User'
        'Application'
      ]
      isEnabled: true
    }
  ]
  optionalClaims: {
    accessToken: [
      {
        name: 'idtyp'
        essential: false
      }
      {
        name: 'xms_cc'
        essential: false
      }
    ]
  }
  groupMembershipClaims: 'ApplicationGroup'
  requiredResourceAccess: [
    {
      resourceAppId: '00000003-0000-0000-c000-000000000000'
      resourceAccess: [
        {
          id: 'e1fe6dd8-ba31-4d61-89e7-88639da4683d'
          type: 'Scope'
        }
        {
          id: 'ba47897c-39ec-4d83-8086-ee8256fa737d'
          type: 'Scope'
        }
      ]
    }
  ]
}

resource apiPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: api.appId
  appRoleAssignmentRequired: true
}

resource credential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {
  name: '${api.uniqueName}/mcpctl'
  issuer: 'https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0'
  subject: '44444444-4444-4444-4444-444444444444'
  audiences: [
    'api://AzureADTokenExchange'
  ]
}

output tenantId string = '11111111-1111-1111-1111-111111111111'
output apiClientId string = api.appId
output publicClientId string = client.appId
