package fakes

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// imageCall is what a request of DICOMweb (PS3.18) asks for.
type imageCall struct {
	names  map[string]string // studies, series, instances, frames, bulkdata
	http2  bool
	accept []accepted
	body   *upload
	media  accepted // of the body
	refuse func(sop string) (reason int)
}

// under puts the call under an action.
func (c *imageCall) under(do Action) {
	if c == nil {
		return
	}
	c.refuse = do.RefuseInstance
	if c.body != nil && do.CutRequestAfter != 0 {
		c.body.left = max(0, do.CutRequestAfter)
	}
}

// abandoned lasts until the client leaves, which shows only once its body was read.
func (in *request) abandoned(ctx context.Context) {
	if in.image != nil && in.image.body != nil {
		if _, err := io.Copy(io.Discard, in.image.body); err != nil {
			return
		}
	}
	<-ctx.Done()
}

// imageRoutes are what is served, by method and path with its names as *.
var imageRoutes = map[string]string{
	"GET studies":                                          "search-studies",
	"GET series":                                           "search-series",
	"GET studies/*/series":                                 "search-series",
	"GET instances":                                        "search-instances",
	"GET studies/*/instances":                              "search-instances",
	"GET studies/*/series/*/instances":                     "search-instances",
	"GET studies/*":                                        "retrieve-study",
	"GET studies/*/series/*":                               "retrieve-series",
	"GET studies/*/series/*/instances/*":                   "retrieve-instance",
	"GET studies/*/series/*/instances/*/frames/*":          "retrieve-frames",
	"GET studies/*/series/*/instances/*/bulkdata/*":        "retrieve-bulkdata",
	"GET studies/*/metadata":                               "retrieve-metadata",
	"GET studies/*/series/*/metadata":                      "retrieve-metadata",
	"GET studies/*/series/*/instances/*/metadata":          "retrieve-metadata",
	"GET studies/*/series/*/instances/*/rendered":          "retrieve-rendered",
	"GET studies/*/series/*/instances/*/frames/*/rendered": "retrieve-rendered",
	"POST studies":                                         "store",
	"POST studies/*":                                       "store",
}

// namesIn parts a path into its names and its shape: a word and a name by turns.
func namesIn(path string) (names map[string]string, shape string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	names = map[string]string{}
	for i := 0; i+1 < len(parts); i += 2 {
		names[parts[i]], parts[i+1] = parts[i+1], "*"
	}
	return names, strings.Join(parts, "/")
}

// parseImage recognizes the interaction and takes the query apart.
func (s *server) parseImage(in *request, r *http.Request, path string) (*request, *answer) {
	names, shape := namesIn(path)
	in.interaction = imageRoutes[r.Method+" "+shape]
	switch _, get := imageRoutes["GET "+shape]; {
	case in.interaction == "" && get:
		return nil, s.refuseImage(http.StatusMethodNotAllowed, "only GET")
	case in.interaction == "":
		return nil, s.refuseImage(http.StatusNotFound, "no such resource")
	}
	in.image = &imageCall{names: names, http2: r.ProtoMajor > 1, accept: acceptedBy(r.Header)}
	if in.interaction == "store" {
		in.image.body = &upload{from: r.Body, left: toTheEnd}
		in.image.media = parseAccepted(r.Header.Get("Content-Type"))
		return in, nil
	}
	var err error
	if in.query, err = s.imageQuery(in.rawQuery); err != nil {
		return nil, s.refuseImage(http.StatusBadRequest, "the query cannot be read")
	}
	return in, nil
}

// imageQuery decodes a query, or only takes it apart.
func (s *server) imageQuery(raw string) (url.Values, error) {
	if !s.hospital.personality.RawQuery {
		return url.ParseQuery(raw)
	}
	out := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			out.Add(name, value)
		}
	}
	return out, nil
}

// refuseImage is an error as such servers have it.
func (s *server) refuseImage(status int, message string) *answer {
	a := &answer{status: status, header: http.Header{}, body: encode(object{"status": status, "message": message})}
	a.header["Content-Type"] = nil // net/http would guess one
	if !s.hospital.personality.BareErrors {
		a.header.Set("Content-Type", "application/json")
	}
	return a
}

// executeImage does what the request asks.
func (s *server) executeImage(in *request) *answer {
	switch in.interaction {
	case "search-studies":
		return s.searchImages(in, studyLevel)
	case "search-series":
		return s.searchImages(in, seriesLevel)
	case "search-instances":
		return s.searchImages(in, instanceLevel)
	case "store":
		return s.receive(in)
	}
	list := within(s.store.pictures(), in.image.names)
	if len(list) == 0 || severalPatients(list) {
		return s.refuseImage(http.StatusNotFound, "no such study, series or instance, or not only one")
	}
	switch in.interaction {
	case "retrieve-metadata":
		return s.metadata(in, list)
	case "retrieve-frames":
		return s.frames(in, list[0])
	case "retrieve-bulkdata":
		return s.bulkdata(in, list[0])
	case "retrieve-rendered":
		return s.render(in, list[0])
	}
	return s.retrieve(in, list)
}

// within are the images that a path names.
func within(list []*instance, names map[string]string) []*instance {
	return slices.DeleteFunc(slices.Clone(list), func(i *instance) bool {
		for word, uid := range map[string]string{"studies": i.study, "series": i.series, "instances": i.sop} {
			if name, named := names[word]; named && name != uid {
				return true
			}
		}
		return false
	})
}

// severalPatients: two studies have this UID, and neither is the one that was meant.
func severalPatients(list []*instance) bool {
	return slices.ContainsFunc(list, func(i *instance) bool { return i.owned() != list[0].owned() })
}

// accepted is one media type of an Accept header.
type accepted struct {
	media  string
	params map[string]string
}

func parseAccepted(text string) accepted {
	media, params, err := mime.ParseMediaType(text)
	if err != nil {
		media, params = "", nil
	}
	return accepted{media, params}
}

// acceptedBy parts an Accept header at the commas outside quotes. None is everything.
func acceptedBy(h http.Header) []accepted {
	text := strings.Join(h.Values("Accept"), ",")
	if strings.TrimSpace(text) == "" {
		return []accepted{{media: "*/*"}}
	}
	var out []accepted
	quoted, from := false, 0
	for i, c := range text + "," {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			out = append(out, parseAccepted(text[from:i]))
			from = i + 1
		}
	}
	return out
}

// takes reports whether one of these media types would do.
func (c *imageCall) takes(media ...string) bool {
	return slices.ContainsFunc(c.accept, func(a accepted) bool { return a.media == "*/*" || slices.Contains(media, a.media) })
}

// parts finds what was asked for of a multipart answer: its transfer syntax, empty for
// any that the server likes.
func (c *imageCall) parts(typ string) (syntax string, ok bool) {
	for _, a := range c.accept {
		if a.media == "*/*" || (a.media == "multipart/related" && (a.params["type"] == typ || a.params["type"] == "")) {
			return a.params["transfer-syntax"], true
		}
	}
	return "", false
}

// upload is the body of a store, as far as it comes.
type upload struct {
	from io.Reader
	left int64 // toTheEnd: all of it
	err  error // that ended it too early
}

func (u *upload) Read(p []byte) (int, error) {
	if u.left == 0 {
		u.err = errFence
	}
	if u.err != nil {
		return 0, u.err
	}
	if u.left > 0 {
		p = p[:min(int64(len(p)), u.left)]
	}
	n, err := u.from.Read(p)
	if u.left > 0 {
		u.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		u.err = err
	}
	return n, err
}
