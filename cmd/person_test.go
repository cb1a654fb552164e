package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// signInPrompt is where mcpctl login shows the code, on a terminal or not.
var signInPrompt = regexp.MustCompile(`(?:enter the code |Code: +(?:\x1b\[1m)?)([A-Z0-9-]{6,})`)

// cmdSignIn runs `mcpctl login ARG...` and does what a person does with the
// code: «signin CODE PERSON ARG...». CODE is the exit code to end with; PERSON
// is ada, grace, alan, decline, or several of them, one after the other.
func cmdSignIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: signin CODE PERSON ARG...")
	}
	p := newProcess(ts, append([]string{"mcpctl", "login"}, args[2:]...))
	p.start(ts)
	if p.await(&p.stderr, signInPrompt.MatchString) {
		for person := range strings.SplitSeq(args[1], ",") {
			enterCode(ts, person, signInPrompt.FindStringSubmatch(p.stderr.String())[1])
		}
	}
	wantExit(ts, args[0], p.finish(ts))
	if args[0] != "0" {
		wantParagraph(ts, p.stderr.String())
	}
}

// enterCode is the person on the authority's device page.
func enterCode(ts *testscript.TestScript, person, code string) {
	form := url.Values{"user_code": {code}, "person": {person + "@contoso.example"}}
	if person == "decline" {
		form = url.Values{"user_code": {code}, "action": {"decline"}}
	}
	authority, err := url.Parse(ts.Getenv("AUTHORITY"))
	ts.Check(err)
	client, err := personClient(ts.Getenv("CA"))
	ts.Check(err)
	defer client.CloseIdleConnections()
	_, page, err := submit(client, "https://"+authority.Host+"/devicelogin", form)
	ts.Check(err)
	if says := regexp.MustCompile(`(?s)<h1>.*?</p>`).FindString(page); says != "" {
		ts.Logf("the device page says: %s", says)
	}
}

// personClient is a browser that trusts the development authority.
func personClient(caFile string) (*http.Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}, nil
}

// submit posts a form, or visits the page if it is nil.
func submit(client *http.Client, to string, form url.Values) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(page), err
}

// fakeBrowser is a program for BROWSER: it notes the address in the file VISITED
// and, at a page for signing in, signs in as PERSON. Without one it is a person
// who closes the window.
func fakeBrowser() {
	if err := browse(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fakebrowser:", err)
		os.Exit(1)
	}
}

func browse(address string) error {
	if err := os.WriteFile(os.Getenv("VISITED"), []byte(address+"\n"), 0o600); err != nil {
		return err
	}
	person := os.Getenv("PERSON")
	if person == "" || !strings.Contains(address, "/authorize?") {
		return nil
	}
	client, err := personClient(os.Getenv("CA"))
	if err != nil {
		return err
	}
	if err := strayRequests(client, address); err != nil {
		return err
	}
	choice := url.Values{"person": {person + "@contoso.example"}}
	if person == "decline" {
		choice = url.Values{"action": {"cancel"}}
	}
	if _, _, err := submit(client, address, nil); err != nil {
		return err
	}
	_, page, err := submit(client, address, choice)
	if err != nil {
		return err
	}
	to, form, err := formOf(page)
	if err != nil {
		return err
	}
	_, page, err = submit(client, to, form)
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv("VISITED")+".last", []byte(page), 0o600)
}

// strayRequests are what else comes to the port that waits for the answer: a
// browser that wants an icon, and a page that guesses.
func strayRequests(client *http.Client, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	redirect := u.Query().Get("redirect_uri")
	for _, stray := range []string{"/favicon.ico", "/", "/?code=stolen&state=guessed", "/?error=access_denied"} {
		status, _, err := submit(client, strings.TrimSuffix(redirect, "/")+stray, nil)
		if err != nil {
			return err
		}
		if status < 400 {
			return fmt.Errorf("GET %s was answered %d", stray, status)
		}
	}
	return nil
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formInput  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// formOf reads the form that a page sends on by script (response_mode=form_post).
func formOf(page string) (string, url.Values, error) {
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		return "", nil, errors.New("the page holds no form: " + page)
	}
	form := url.Values{}
	for _, input := range formInput.FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return html.UnescapeString(action[1]), form, nil
}
