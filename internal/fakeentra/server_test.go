package fakeentra_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func TestStartRefusesWhatOthersCouldReach(t *testing.T) {
	for _, o := range []fakeentra.Options{
		{Addr: "0.0.0.0:0"}, {Addr: ":0"}, {Addr: "192.0.2.1:0"}, {Addr: "example.com:0"}, {Addr: "127.0.0.1"},
		{Tenant: "contoso"},
	} {
		if srv, err := fakeentra.Start(o); err == nil {
			srv.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestStartSaysThatAPortIsTaken(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	addr := strings.TrimPrefix(srv.BaseURL(), "https://")
	if second, err := fakeentra.Start(fakeentra.Options{Addr: addr}); err == nil {
		second.Close()
		t.Error("two authorities on one port")
	} else if !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v doesn't name %s", err, addr)
	}
}

func TestLoopbackNamesAreCertified(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{Addr: "localhost:0"})
	port := srv.BaseURL()[strings.LastIndexByte(srv.BaseURL(), ':'):]
	resp, _ := send(t, srv, http.MethodGet, "https://localhost"+port+"/devicelogin", nil)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestRegistrationRefusals(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	for _, a := range []fakeentra.App{
		{Name: "a", ClientID: "not-a-guid"},
		{Name: "b", TokenVersion: 3},
		{Name: "c", IDURIs: sample.API.IDURIs},
	} {
		if _, err := srv.RegisterApp(a); err == nil {
			t.Errorf("%+v was registered", a)
		}
	}
	for _, p := range []fakeentra.Person{{UPN: "x@contoso.example"}, {Name: "X"}, {Name: "X", UPN: "x@contoso.example", OID: "1"}} {
		if _, err := srv.AddPerson(p); err == nil {
			t.Errorf("%+v was added", p)
		}
	}
	if got := srv.People(); len(got) != 3 || got[0].UPN != sample.Ada.UPN {
		t.Errorf("people %+v", got)
	}
}

func TestSampleUnderAnAppIDURI(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	sample, err := srv.AddSample("http://127.0.0.1:8080/mcp")
	if err != nil {
		t.Fatal(err)
	}
	if sample.Scope() != "http://127.0.0.1:8080/mcp/Mcp.Access" {
		t.Errorf("scope %q", sample.Scope())
	}
	r := signIn(t, srv, sample.Client.ClientID, sample.Scope(), sample.Ada.UPN)
	if r.Scope != sample.Scope() {
		t.Errorf("scope %q", r.Scope)
	}
}

func TestPendingCodesAreBounded(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	form := params("client_id", sample.Client.ClientID, "scope", sample.Scope())
	for range 1000 {
		if r := post(t, srv, "devicecode", form); r.Error != "" {
			t.Fatal(r.Description)
		}
	}
	refused(t, post(t, srv, "devicecode", form), http.StatusTooManyRequests, "temporarily_unavailable", 90055)
}

func TestConcurrentUse(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{OneTimeRefreshTokens: true})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
			form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", r.RefreshToken)
			if r := post(t, srv, "token", form); r.Error != "" {
				t.Error(r.Description)
			}
			srv.PendingUserCodes()
			srv.Requests()
			srv.SetSkew(0)
		})
	}
	wg.Wait()
}
