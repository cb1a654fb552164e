package fakeentra

import "time"

// Lifetimes says how long issued things live. Zero fields take the default.
type Lifetimes struct {
	AccessToken    time.Duration // default 75 min; Entra varies between 60 and 90
	CAEAccessToken time.Duration // for clients that declare cp1, at CAE resources; default 26 h
	RefreshIn      time.Duration // the refresh_in of responses; default half of a lifetime of 2 h or more, else absent
	IDToken        time.Duration // default 60 min
	RefreshToken   time.Duration // without use; default 90 days
	DeviceCode     time.Duration // default 15 min
	AuthCode       time.Duration // default 10 min
	PollInterval   time.Duration // told to device code clients; default 5 s, as Entra
}

func (l Lifetimes) withDefaults() Lifetimes {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.AccessToken, 75 * time.Minute},
		{&l.CAEAccessToken, 26 * time.Hour},
		{&l.IDToken, time.Hour},
		{&l.RefreshToken, 90 * 24 * time.Hour},
		{&l.DeviceCode, 15 * time.Minute},
		{&l.AuthCode, 10 * time.Minute},
		{&l.PollInterval, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

// refreshIn is the refresh_in of a token that lives for d, or 0 for none.
func (l Lifetimes) refreshIn(d time.Duration) time.Duration {
	if l.RefreshIn > 0 {
		return l.RefreshIn
	}
	if d >= 2*time.Hour {
		return d / 2
	}
	return 0
}
