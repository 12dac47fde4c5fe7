package pacs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fhir"
)

// viewer is how links to images are made.
type viewer struct {
	templates map[campus.DataCenterID]string
	token     func(ctx context.Context, study string) (string, error)
}

// WithViewers says where the viewer of each data centre is, as a URL template: {study}
// stands for the Study Instance UID, {token} for the token. A URL without {study} is taken
// for the address of IHE Invoke Image Display (IHE RAD TF-2, RAD-106), and its
// parameters are added.
func WithViewers(templates map[campus.DataCenterID]string) Option {
	return func(c *Client) {
		c.viewer.templates = map[campus.DataCenterID]string{}
		for dc, template := range templates {
			c.viewer.templates[dc] = template
		}
	}
}

// WithViewerToken says where the token of a link comes from: short-lived, for this
// study only. f is called once per link, possibly in several goroutines at once; its error
// fails the link with hospital.ErrNoToken, and its text is not shown.
func WithViewerToken(f func(ctx context.Context, study string) (string, error)) Option {
	return func(c *Client) { c.viewer.token = f }
}

// Link is a link to a viewer. It may hold a token: packages fmt, slog and
// encoding/json do not show it; URL does, to be handed to a browser and to nobody else.
type Link struct {
	// DataCenter is where the viewer runs.
	DataCenter campus.DataCenterID
	url        string
}

// URL is the link itself.
func (l Link) URL() string { return l.url }

// String hides the link.
func (l Link) String() string { return "viewer link at " + string(l.DataCenter) }

// GoString hides the link.
func (l Link) GoString() string { return l.String() }

// Format hides the link from every verb of package fmt.
func (l Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue hides the link from package slog.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

// ViewerLink (影像浏览链接) makes a link to a study in the viewer of a data centre whose
// archive is well: that of the campus first, then its peers, as calls go too. Nothing is
// sent. hospital.ErrInvalidArgument when no viewer is configured for any of them,
// hospital.ErrNoToken when no token could be had.
func (c *Client) ViewerLink(ctx context.Context, study string, opts ...hospital.ReadOption) (Link, error) {
	return hospital.Read(ctx, c.client, op("ViewerLink", hospital.Quick), func(ctx context.Context, _ *fhir.Client) (Link, error) {
		if err := checkUIDs(study, "", ""); err != nil {
			return Link{}, err
		}
		dc, template, err := c.viewerFor(ctx)
		if err != nil {
			return Link{}, err
		}
		token := ""
		if c.viewer.token != nil {
			if token, err = c.viewer.token(ctx, study); err != nil {
				return Link{}, hospital.ErrNoToken
			}
		}
		link, err := fill(template, study, token)
		return Link{DataCenter: dc, url: link}, err
	}, opts...)
}

// viewerFor chooses the data centre: the first of the route whose archive is well, else
// the first that has not been taken out.
func (c *Client) viewerFor(ctx context.Context) (campus.DataCenterID, string, error) {
	route, err := c.client.Topology().Route(campus.PACS, hospital.CampusOf(ctx), campus.ReadAny)
	if err != nil {
		return "", "", err
	}
	known := map[campus.EndpointID]failover.EndpointStatus{}
	for _, s := range c.client.Status() {
		known[s.Endpoint] = s
	}
	best, fallback := campus.DataCenterID(""), campus.DataCenterID("")
	for _, hop := range route {
		e := hop.Endpoint
		status := known[e.ID]
		switch {
		case c.viewer.templates[e.DataCenter] == "" || status.Draining:
		case best == "" && status.Read <= failover.Returning:
			best = e.DataCenter
		case fallback == "":
			fallback = e.DataCenter
		}
	}
	if best == "" {
		best = fallback
	}
	if best == "" {
		return "", "", hospital.Refuse(hospital.ErrInvalidArgument, "no viewer is configured for a data centre that may be used; see WithViewers")
	}
	return best, c.viewer.templates[best], nil
}

func fill(template, study, token string) (string, error) {
	u, err := url.Parse(strings.NewReplacer("{study}", study, "{token}", url.QueryEscape(token)).Replace(template))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", hospital.Refuse(hospital.ErrInvalidArgument, "a viewer's template must be an absolute URL")
	}
	if !strings.Contains(template, "{study}") {
		q := u.Query()
		q.Set("requestType", "STUDY")
		q.Set("studyUID", study)
		if token != "" && !strings.Contains(template, "{token}") {
			q.Set("token", token)
		}
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}
