// mcpctl on Azure Container Apps, before an MCP server in the same app, with a managed identity instead of a secret:
//
//   az group create --name mcp --location westeurope
//   az deployment group create --resource-group mcp --template-file main.bicep \
//     --parameters apiClientId=… publicClientId=… mcpServerImage=…
//
// Then, so that the identity may speak for the API (On-Behalf-Of):
//
//   az ad app federated-credential create --id API-CLIENT-ID --parameters federated-credential.json
//
// with what the output federatedCredential says in federated-credential.json.
targetScope = 'resourceGroup'

@description('Where to put everything.')
param location string = resourceGroup().location

@description('The name of the app and of what belongs to it.')
@minLength(3)
@maxLength(20)
param name string = 'mcpctl'

@description('The image of mcpctl. Pin a version.')
param image string = 'ghcr.io/mcpctl/mcpctl:latest'

@description('The image of the MCP server to protect. It listens on 127.0.0.1:3000.')
param mcpServerImage string

@description('The Directory (tenant) ID of the people who may come in.')
param tenantId string = tenant().tenantId

@description('The Application (client) ID of the API: the audience of the tokens.')
param apiClientId string

@description('The Application (client) ID that mcpctl login uses.')
param publicClientId string

@description('The host name that people type, once it is bound to the app; empty is the one that Azure gives.')
param publicHost string = ''

var host = empty(publicHost) ? '${name}.${environment.properties.defaultDomain}' : publicHost

// What mcpctl.yaml has in place of what is only known here.
var config1 = replace(loadTextContent('mcpctl.yaml'), 'mcp.contoso.com', host)
var config2 = replace(config1, '00000000-0000-0000-0000-000000000001', tenantId)
var config3 = replace(config2, '00000000-0000-0000-0000-000000000002', apiClientId)
var config4 = replace(config3, '00000000-0000-0000-0000-000000000003', publicClientId)
var config = replace(config4, '00000000-0000-0000-0000-000000000004', identity.properties.clientId)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: name
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
  }
}

resource app 'Microsoft.App/containerApps@2024-03-01' = {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: 8080
        transport: 'http'
        allowInsecure: false
      }
      secrets: [
        {
          name: 'config'
          value: config
        }
      ]
    }
    template: {
      // Longer than drain_delay and drain_timeout together.
      terminationGracePeriodSeconds: 40
      containers: [
        {
          name: 'mcpctl'
          image: image
          args: [
            'serve'
            '--config'
            '/etc/mcpctl/mcpctl.yaml'
          ]
          resources: {
            cpu: json('0.25')
            memory: '0.5Gi'
          }
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/healthz'
                port: 9464
              }
              periodSeconds: 2
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/healthz'
                port: 9464
              }
              periodSeconds: 10
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/readyz'
                port: 9464
              }
              periodSeconds: 5
              failureThreshold: 1
            }
          ]
          volumeMounts: [
            {
              volumeName: 'config'
              mountPath: '/etc/mcpctl'
            }
          ]
        }
        {
          name: 'mcp-server'
          image: mcpServerImage
          resources: {
            cpu: json('0.25')
            memory: '0.5Gi'
          }
        }
      ]
      volumes: [
        {
          name: 'config'
          storageType: 'Secret'
          secrets: [
            {
              secretRef: 'config'
              path: 'mcpctl.yaml'
            }
          ]
        }
      ]
      // One, always: sessions live in its memory.
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
    }
  }
}

@description('The address that people type.')
output url string = 'https://${host}/mcp'

@description('The federated credential that the app registration of the API needs.')
output federatedCredential object = {
  name: name
  issuer: '${az.environment().authentication.loginEndpoint}${tenantId}/v2.0'
  subject: identity.properties.principalId
  audiences: [
    'api://AzureADTokenExchange'
  ]
}
