// Package registration writes what registers an MCP server in Microsoft Entra
// ID: a script for the Azure CLI, a Bicep file, application manifests, the
// server's mcpctl.yaml and instructions for people's clients, all from one set
// of [Answers].
//
// It works offline and changes nothing itself: an administrator reads what was
// written and runs it. The order of the steps is that of Microsoft's guide
// "Secure an MCP server with Microsoft Entra ID": access tokens of version 2
// come before the Application ID URI, which Entra would refuse otherwise.
package registration
