package fakeentra

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// deviceGrant is a device code from its issue to its use.
type deviceGrant struct {
	userCode string
	client   string
	scope    string
	issued   time.Time
	expires  time.Time
	person   string // oid of who approved, or empty
	declined bool
}

func (g *deviceGrant) pending() bool { return g.person == "" && !g.declined }

// deviceCode is the device authorization endpoint, RFC 8628 section 3.1.
func (x *exchange) deviceCode() (any, *Error) {
	if err := x.post(); err != nil {
		return nil, err
	}
	s := x.s
	client, err := s.clientOf(x)
	if err != nil {
		return nil, err
	}
	q, err := s.checkScope(x, client)
	if err != nil {
		return nil, err
	}
	if err := checkResource(x.form["resource"], q); err != nil {
		return nil, err
	}
	if s.purgeDevices() >= maxPending {
		return nil, errThrottled()
	}
	code, g := randomID(64), &deviceGrant{
		userCode: newUserCode(), client: client.ClientID, scope: x.form.Get("scope"),
		issued: x.now, expires: x.now.Add(s.life.DeviceCode),
	}
	s.devices[code] = g
	page := s.base + "/devicelogin"
	return map[string]any{
		"user_code":        g.userCode,
		"device_code":      code,
		"verification_uri": page,
		"expires_in":       seconds(s.life.DeviceCode),
		"interval":         seconds(s.life.PollInterval),
		"message":          fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.", page, g.userCode),
	}, nil
}

// purgeDevices forgets codes that ran out an hour ago; until then their owner
// is told so. It returns how many are left; s.mu is held.
func (s *Server) purgeDevices() int {
	limit := s.clock().Add(-time.Hour)
	for code, g := range s.devices {
		if g.expires.Before(limit) {
			delete(s.devices, code)
		}
	}
	return len(s.devices)
}

// PendingUserCodes lists the user codes that wait for a person, oldest first.
func (s *Server) PendingUserCodes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waiting []*deviceGrant
	for _, g := range s.devices {
		if g.pending() && s.clock().Before(g.expires) {
			waiting = append(waiting, g)
		}
	}
	slices.SortFunc(waiting, func(a, b *deviceGrant) int { return a.issued.Compare(b.issued) })
	out := make([]string, 0, len(waiting))
	for _, g := range waiting {
		out = append(out, g.userCode)
	}
	return out
}

// ApproveDevice is the person entering the code and agreeing to everything. It
// fails if the code isn't pending, nobody has that UPN, or the person isn't
// assigned to the API (*[Error], AADSTS50105); the code stays pending then.
func (s *Server) ApproveDevice(userCode, upn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.pendingDevice(userCode)
	if g == nil {
		return errUserCode()
	}
	p := s.dir.person(upn)
	if p == nil {
		return fmt.Errorf("approving a device: nobody is called %q", upn)
	}
	client := s.dir.app(g.client)
	if client == nil {
		return errUnknownClient(g.client, s.tenant)
	}
	q, err := s.dir.parseScope(client, s.tenant, g.scope)
	if err != nil {
		return err
	}
	if err := s.agree(client, p, q); err != nil {
		return err
	}
	g.person = p.OID
	return nil
}

// DeclineDevice is the person entering the code and refusing.
func (s *Server) DeclineDevice(userCode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.pendingDevice(userCode)
	if g == nil {
		return errUserCode()
	}
	g.declined = true
	return nil
}

// pendingDevice finds a code that waits for a person; s.mu is held. People may
// type it in lower case and with spaces.
func (s *Server) pendingDevice(userCode string) *deviceGrant {
	typed := strings.ToUpper(strings.Join(strings.Fields(userCode), ""))
	for _, g := range s.devices {
		if g.userCode == typed && g.pending() && s.clock().Before(g.expires) {
			return g
		}
	}
	return nil
}

// agree records what a person consents to by signing in, or refuses: people
// who aren't assigned, scopes that only an administrator can consent to.
func (s *Server) agree(client *App, p *Person, q scopeRequest) *Error {
	if !p.assigned(q.api) {
		return errNotAssigned(q.api, p)
	}
	for _, name := range q.names {
		if q.api.scope(name).AdminOnly && !s.dir.consented(client, q.api, p, name) {
			return failure("consent_required", 90094, "An administrator of %s has set a policy that prevents you from granting %s the permissions it is requesting. "+
				"Contact an administrator, who can grant permissions to this app on your behalf.", s.domain, client.Name)
		}
	}
	s.dir.consent(client, q.api, p, q.interactiveNames())
	return nil
}

func errUserCode() *Error {
	return failure("bad_verification_code", 70018, "Invalid verification code due to User typing in wrong user code for device code flow. Authorization isn't approved.")
}

func errThrottled() *Error {
	e := failure("temporarily_unavailable", 90055, "There are too many incoming requests. This exception is thrown for blocked tenants.")
	e.Status = 429
	return e
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
