package gateway

import "strings"

// judged are the methods that rules have a say about.
var judged = map[string]bool{
	"tools/call": true, "tools/list": true, "prompts/get": true, "prompts/list": true,
	"resources/read": true, "resources/subscribe": true, "resources/unsubscribe": true,
	"resources/list": true, "resources/templates/list": true,
	"completion/complete": true, "subscriptions/listen": true,
}

// outsideRules reports a method that is about tools, prompts or resources and of
// which it is not known what it names: one of a later revision, or another
// spelling, which a careless server takes for the real one.
func outsideRules(method string) bool {
	if judged[method] {
		return false
	}
	plain := strings.ToLower(strings.TrimSpace(method))
	for _, about := range []string{"tools/", "prompts/", "resources/", "completion/", "subscriptions/"} {
		if strings.HasPrefix(plain, about) {
			return true
		}
	}
	return false
}
