package server

import (
	"strings"
	"testing"
)

// Whatever an address may hold stays text. Configurations have only plain ones;
// the page does not rely on that.
func TestLandingPageEscapes(t *testing.T) {
	const address = `https://mcp.contoso.com/</code><script>alert(1)</script><img src=x onerror="alert(1)">'&amp;`
	page, err := newLandingPage(address, "https://mcp.contoso.com/sse")
	if err != nil {
		t.Fatal(err)
	}
	body := string(page.body)
	if strings.Count(body, "<script>") != 1 || strings.Contains(body, "<img") || strings.Contains(body, "alert(1)</script>") {
		t.Errorf("the address is not escaped:\n%s", body)
	}
	if !strings.Contains(body, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the address is not shown")
	}
}

// The policy's hashes are those of what stands between the tags.
func TestLandingPagePolicy(t *testing.T) {
	page, err := newLandingPage("https://mcp.contoso.com/mcp", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"style", "script"} {
		_, rest, _ := strings.Cut(string(page.body), "<"+tag+">")
		text, _, _ := strings.Cut(rest, "</"+tag+">")
		if text == "" || !strings.Contains(page.policy, tag+"-src '"+cspHash(text)+"'") {
			t.Errorf("the policy %s does not allow the page's own %s", page.policy, tag)
		}
	}
	if strings.Contains(string(page.body), "HTTP+SSE") {
		t.Error("an endpoint that is not there is named")
	}
}
