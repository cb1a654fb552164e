// Signs in with the unmodified MSAL Node. Settings come from the environment,
// one line of JSON goes to stdout for each step. The test approves the device
// codes that it reads there.
import { createRequire } from "node:module";

const env = process.env;
const require = createRequire(env.PACKAGES + "/");
const { PublicClientApplication, ConfidentialClientApplication } = require("@azure/msal-node");
const say = (step, value) => console.log(JSON.stringify({ step, ...value }));
const authority = new URL(env.AUTHORITY);
const auth = { authority: env.AUTHORITY, knownAuthorities: [authority.host] };

const person = new PublicClientApplication({ auth: { ...auth, clientId: env.CLIENT_ID, clientCapabilities: ["cp1"] } });
const scopes = [env.SCOPE];

const login = await person.acquireTokenByDeviceCode({
  scopes,
  deviceCodeCallback: ({ userCode, verificationUri }) => say("code", { userCode, verificationUri }),
});
say("login", { token: login.accessToken, username: login.account.username, homeAccountId: login.account.homeAccountId });

const { account } = login;
const silent = await person.acquireTokenSilent({ scopes, account });
say("silent", { token: silent.accessToken, fromCache: silent.fromCache });

const refreshed = await person.acquireTokenSilent({ scopes, account, forceRefresh: true });
say("refresh", { token: refreshed.accessToken, fromCache: refreshed.fromCache });

const challenged = await person.acquireTokenSilent({
  scopes,
  account,
  claims: JSON.stringify({ access_token: { nbf: { essential: true, value: "1700000000" } } }),
});
say("claims", { token: challenged.accessToken, fromCache: challenged.fromCache });

const middleTier = new ConfidentialClientApplication({
  auth: { ...auth, clientId: env.MIDDLE_TIER_ID, clientSecret: env.MIDDLE_TIER_SECRET },
});
const user = await person.acquireTokenSilent({ scopes: [env.MIDDLE_TIER_SCOPE], account });
const onBehalf = await middleTier.acquireTokenOnBehalfOf({ oboAssertion: user.accessToken, scopes: ["https://graph.microsoft.com/User.Read"] });
say("on behalf of", { token: onBehalf.accessToken, username: onBehalf.account.username });

const own = await middleTier.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] });
say("client credentials", { token: own.accessToken });

try {
  await person.acquireTokenSilent({ scopes: ["https://graph.microsoft.com/Mail.Read"], account });
  say("no consent", { refused: false });
} catch (e) {
  say("no consent", { refused: true, name: e.name, code: e.errorCode, sub: e.subError, message: e.message });
}
