// Registers MCP server mcp.contoso.com in Microsoft Entra ID.
//   az deployment group create --resource-group GROUP --template-file main.bicep
// The outputs are the ids for mcpctl.yaml. Compared with register.sh two things are
// missing, which a resource can't say about itself or in a circle: the address
// api://APP-ID, and the scopes among the API permissions of the client, which is
// pre-authorized for them instead.
extension microsoftGraphV1

resource client 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'mcpctl-mcp.contoso.com-mcp-client'
  displayName: 'MCP server mcp.contoso.com (client)'
  signInAudience: 'AzureADMyOrg'
  isFallbackPublicClient: true
  publicClient: {
    redirectUris: [
      'http://localhost'
      'http://127.0.0.1'
    ]
  }
}

resource clientPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: client.appId
}

resource api 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'mcpctl-mcp.contoso.com-mcp'
  displayName: 'MCP server mcp.contoso.com'
  signInAudience: 'AzureADMyOrg'
  // Version 2 tokens: Entra takes the address of the server only with them.
  identifierUris: [
    'https://mcp.contoso.com/mcp'
  ]
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: '8dd2743b-bd9a-87c0-b8b0-e8e9af960693'
        value: 'Mcp.Access'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Use this MCP server: Mcp.Access'
        adminConsentDescription: 'Allows the application to use the tools of this MCP server on behalf of the person who signed in.'
        userConsentDisplayName: 'Use this MCP server: Mcp.Access'
        userConsentDescription: 'Allows the application to use the tools of this MCP server on your behalf.'
      }
    ]
    preAuthorizedApplications: [
      {
        appId: client.appId
        delegatedPermissionIds: [
          '8dd2743b-bd9a-87c0-b8b0-e8e9af960693'
        ]
      }
    ]
    knownClientApplications: [
      client.appId
    ]
  }
  appRoles: [
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
}

resource apiPrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: api.appId
  appRoleAssignmentRequired: false
}

output tenantId string = '11111111-1111-1111-1111-111111111111'
output apiClientId string = api.appId
output publicClientId string = client.appId
