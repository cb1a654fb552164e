package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
)

const opManagedIdentity = "getting a token of the managed identity"

// ManagedIdentityOptions configure a [ManagedIdentity].
type ManagedIdentityOptions struct {
	// ClientID names a user-assigned identity; empty is the system-assigned one.
	ClientID string
	// Transport replaces the connection to the identity's endpoint. Nil is the
	// normal one, without a proxy: the endpoint is on this machine or link-local.
	Transport http.RoundTripper
}

// A ManagedIdentity is what the Azure resource that this process runs on is
// known as. MSAL finds the endpoint by the environment (App Service, Container
// Apps, Azure Arc, Azure ML, Service Fabric, else the instance metadata
// service) and keeps tokens, one for each resource. Safe for concurrent use.
type ManagedIdentity struct {
	client managedidentity.Client
	http   *identityClient
}

// NewManagedIdentity returns the identity. It sends nothing.
func NewManagedIdentity(o ManagedIdentityOptions) (*ManagedIdentity, error) {
	id := managedidentity.SystemAssigned()
	if o.ClientID != "" {
		if !IsGUID(o.ClientID) {
			return nil, fmt.Errorf("the managed identity's client id %q is not a GUID", clip(o.ClientID))
		}
		id = managedidentity.UserAssignedClientID(o.ClientID)
	}
	transport := o.Transport
	if transport == nil {
		t := newTransport()
		t.Proxy = nil
		transport = t
	}
	m := &ManagedIdentity{http: &identityClient{&http.Client{
		Transport: transport, Timeout: attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}}
	var err error
	if m.client, err = managedidentity.New(id, managedidentity.WithHTTPClient(m.http)); err != nil {
		return nil, fmt.Errorf("finding the managed identity: %w", err)
	}
	return m, nil
}

// CloseIdleConnections closes idle connections to the identity's endpoint.
func (m *ManagedIdentity) CloseIdleConnections() { m.http.CloseIdleConnections() }

// Token returns a token for the API with the App ID URI resource, with or
// without "/.default". claims is a claims challenge of that API, in JSON or
// base64, or "". Errors are [*ConfidentialError] or the context's.
func (m *ManagedIdentity) Token(ctx context.Context, resource, claims string) (token string, expires time.Time, err error) {
	asked, err := decodeClaims(claims)
	if err != nil {
		return "", time.Time{}, &ConfidentialError{&Error{Op: opManagedIdentity, Description: err.Error()}}
	}
	var options []managedidentity.AcquireTokenOption
	if asked != "" {
		options = append(options, managedidentity.WithClaims(asked))
	}
	opCtx, ex := withExchange(ctx)
	result, err := m.client.AcquireToken(opCtx, strings.TrimSuffix(resource, "/.default"), options...)
	if err == nil {
		return result.AccessToken, result.ExpiresOn, nil
	}
	if ctx.Err() != nil {
		return "", time.Time{}, ctx.Err()
	}
	return "", time.Time{}, &ConfidentialError{explainIdentity(ex)}
}

// explainIdentity describes a failure by what the endpoint answered. The text
// of MSAL's errors stays out: it can quote answers.
func explainIdentity(ex *exchange) *Error {
	answer, transport, _ := ex.snapshot()
	e := &Error{Op: opManagedIdentity, Kind: KindFailed}
	switch {
	case transport != nil:
		e.fillTransport(transport)
		e.Hint = "Is a managed identity assigned to this machine?"
	case answer == nil:
		e.Kind, e.Description = KindMisconfigured, "this machine offers no managed identity"
	default:
		e.fillAnswer(flowRefresh, answer)
		e.Hint = ""
		if answer.oauth.Error == "" {
			e.Kind, e.Description = KindMisconfigured, fmt.Sprintf("the identity's endpoint answered HTTP %d", answer.status)
			if answer.status >= http.StatusInternalServerError || answer.status == http.StatusTooManyRequests {
				e.Kind = KindOutage
			}
		}
	}
	return e
}

// identityClient brings back whole, bounded answers, and records them. Retries
// are MSAL's, which knows each endpoint's habits.
type identityClient struct{ client *http.Client }

// ConfigureClient lets MSAL pin the certificate of Service Fabric's endpoint.
func (c *identityClient) ConfigureClient(augment func(*http.Client) (*http.Client, error)) error {
	client, err := augment(c.client)
	if err == nil {
		c.client = client
	}
	return err
}

func (c *identityClient) CloseIdleConnections() { c.client.CloseIdleConnections() }

func (c *identityClient) Do(req *http.Request) (*http.Response, error) {
	ex := exchangeFrom(req.Context())
	resp, body, err := (&HTTPClient{client: c.client}).once(req, 1)
	if errors.Is(err, context.Canceled) {
		err = context.Canceled // without the address
	}
	ex.record(resp, body, err)
	return resp, err
}
