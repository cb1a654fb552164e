package registration

// A cloud is one of Microsoft's ("National clouds").
type cloud struct {
	login string // authority
	graph string // Microsoft Graph
	az    string // name in the Azure CLI
	// exchange is the audience of tokens that stand in for a credential
	// ("Workload identity federation").
	exchange string
}

var clouds = map[string]cloud{
	"global": {"https://login.microsoftonline.com", "https://graph.microsoft.com", "AzureCloud", "api://AzureADTokenExchange"},
	"usgov":  {"https://login.microsoftonline.us", "https://graph.microsoft.us", "AzureUSGovernment", "api://AzureADTokenExchangeUSGov"},
	"china":  {"https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", "AzureChinaCloud", "api://AzureADTokenExchangeChina"},
}
