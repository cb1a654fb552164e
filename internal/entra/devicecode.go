package entra

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

// A DeviceCode is what the person needs to sign in on any device.
type DeviceCode struct {
	UserCode        string    // to type or paste
	VerificationURL string    // where
	Message         string    // the authority's own sentence with both, in one line
	ExpiresOn       time.Time // when the code stops working
}

const (
	// defaultInterval is RFC 8628 section 3.2's, for answers without one.
	defaultInterval = 5 * time.Second
	// retryPause precedes polling again after a failed poll; it doubles.
	retryPause = time.Second
	// maxRetryPause bounds it.
	maxRetryPause = 15 * time.Second
)

// SignInDeviceCode signs a person in with a device code (RFC 8628). It calls
// show once, then polls until the sign-in is done, refused or expired, or ctx
// ends. Outages while polling are waited out; the code stays valid.
//
// Errors are [*Error]. [KindDeviceCodeBlocked] means that the organisation
// forbids this flow and [Client.SignInBrowser] may work.
func (c *Client) SignInDeviceCode(ctx context.Context, show func(DeviceCode) error, opts ...SignInOption) (SignIn, error) {
	result, err := c.signInDeviceCode(ctx, show, opts)
	return result, c.addressed(err)
}

func (c *Client) signInDeviceCode(ctx context.Context, show func(DeviceCode) error, opts []SignInOption) (SignIn, error) {
	o, msal, done, err := c.startSignIn(opts)
	if err != nil {
		return SignIn{}, err
	}
	defer done()
	opCtx, ex := withExchange(ctx)
	var deviceOpts []public.AcquireByDeviceCodeOption
	if o.claims != "" {
		deviceOpts = append(deviceOpts, public.WithClaims(o.claims))
	}
	pending, err := msal.AcquireTokenByDeviceCode(opCtx, c.scopes, deviceOpts...)
	if err != nil {
		return SignIn{}, ex.explain(ctx, opSignIn, flowDeviceCode, c.scopes, err)
	}
	code, err := c.deviceCode(pending.Result)
	if err != nil {
		return SignIn{}, err
	}
	if err := show(code); err != nil {
		return SignIn{}, fmt.Errorf("showing the device code: %w", err)
	}
	interval := time.Duration(pending.Result.Interval) * time.Second
	if interval <= 0 {
		interval = defaultInterval
	}
	ex.setPacer(&pacer{interval: interval})
	return c.awaitDevice(ctx, opCtx, ex, pending, code)
}

// awaitDevice polls until there is a verdict. MSAL gives up at the first
// outage, but can be asked again with the same code.
func (c *Client) awaitDevice(ctx, opCtx context.Context, ex *exchange, pending public.DeviceCode, code DeviceCode) (SignIn, error) {
	pause := retryPause
	var outage *Error
	for {
		result, err := pending.AuthenticationResult(opCtx)
		if err == nil {
			return c.finishSignIn(result), nil
		}
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && !c.now().Before(code.ExpiresOn) {
			if outage != nil && !ex.pending() {
				return SignIn{}, outage
			}
			return SignIn{}, &Error{Op: opSignIn, Kind: KindExpired, Description: "the code expired before anyone entered it",
				Hint: "Get a new one: mcpctl login URL; if the page said that access is blocked, sign in with a browser: mcpctl login URL --browser"}
		}
		failure := ex.explain(ctx, opSignIn, flowDeviceCode, c.scopes, err)
		if !failure.Transient() {
			return SignIn{}, failure
		}
		outage = failure
		wait := max(pause, failure.RetryAfter)
		if !c.now().Add(wait).Before(code.ExpiresOn) {
			return SignIn{}, failure
		}
		c.log.Debug("polling for the sign-in failed; trying again", "err", failure, "wait", wait)
		if err := sleep(ctx, wait); err != nil {
			return SignIn{}, &Error{Op: opSignIn, Kind: KindCanceled, cause: err}
		}
		pause = min(2*pause, maxRetryPause)
	}
}

// userCode is what a person can be asked to type.
var userCode = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// deviceCode checks what is about to be shown to a person, and possibly opened
// in a browser.
func (c *Client) deviceCode(r public.DeviceCodeResult) (DeviceCode, error) {
	u, err := url.Parse(r.VerificationURL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil,
		c.authority.IsDev() && !strings.EqualFold(u.Host, c.authority.host):
		return DeviceCode{}, &Error{Op: opSignIn, Kind: KindUntrusted,
			Description: fmt.Sprintf("the authority named %q as the sign-in page, which is not trusted", clip(redactDescription(r.VerificationURL)))}
	case r.DeviceCode == "" || !userCode.MatchString(r.UserCode):
		return DeviceCode{}, &Error{Op: opSignIn, Kind: KindOutage, Hint: kindHints[KindOutage],
			Description: "the authority's answer holds no usable device code"}
	}
	return DeviceCode{
		UserCode:        r.UserCode,
		VerificationURL: u.String(),
		Message:         redactDescription(r.Message),
		ExpiresOn:       r.ExpiresOn,
	}, nil
}
