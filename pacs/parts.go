package pacs

import (
	"context"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/fhir"
	"github.com/hospital-go/hospital/internal/dicomweb"
	"github.com/hospital-go/hospital/internal/verb"
)

// Bulk is a value that came apart from its data set: a frame, or bulk data (a part of it).
type Bulk struct {
	// Frame is its number, from 1; 0 for bulk data.
	Frame int
	// MediaType is what the archive says the bytes are: application/octet-stream for
	// pixels as they are, image/jpeg and its like for compressed ones.
	MediaType string
	// TransferSyntax is how they are written, "" where the archive does not say.
	TransferSyntax string
	// Data are the bytes.
	Data []byte
}

// Frames (影像帧) yields frames of an instance as they are stored, in the order asked
// (PS3.18 section 10.4.1.1.6), each whole and in memory. One beyond Config.MaxBody, 16 MiB
// by default, is hospital.ErrTooLarge: a mammogram's, uncompressed, has about 27 MB. After a
// cut the rest is asked for elsewhere. A frame that the instance does not have is
// hospital.ErrRefused or hospital.ErrNotFound, as the archive says it.
func (c *Client) Frames(ctx context.Context, study, series, instance string, frames []int, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Bulk], error] {
	return hospital.Stream(ctx, c.client, op("Frames", hospital.Bulk), func(ctx context.Context, _ *fhir.Client) iter.Seq2[hospital.Found[Bulk], error] {
		if err := checkUIDs(study, series, instance); err != nil {
			return verb.Fail[Bulk](err)
		}
		if instance == "" || len(frames) == 0 || slices.Min(frames) < 1 {
			return verb.Fail[Bulk](hospital.Refuse(hospital.ErrInvalidArgument, "an instance and frame numbers from 1"))
		}
		return c.frames(ctx, dicomweb.Path(study, series, instance)+"/frames/", frames)
	}, opts...)
}

func (c *Client) frames(ctx context.Context, path string, frames []int) iter.Seq2[hospital.Found[Bulk], error] {
	return func(yield func(hospital.Found[Bulk], error) bool) {
		var again error
		for tries := 0; ; tries++ {
			a := asking{
				template: "retrieve frames", path: path + numbers(frames), accept: acceptFrames,
				class: hospital.Bulk, stream: true, fits: isBulk, again: again,
			}
			broke := false
			err := c.values(ctx, a, len(frames), func(b hospital.Found[Bulk]) bool {
				b.Resource.Frame, frames = frames[0], frames[1:]
				return yield(b, nil)
			}, func(resp *http.Response, err error) { broke, again = cut(resp, err) })
			switch {
			case broke && tries < maxTries:
				continue
			case err != nil:
				yield(hospital.Found[Bulk]{}, settled(err))
			}
			return
		}
	}
}

func numbers(frames []int) string {
	list := make([]string, len(frames))
	for i, f := range frames {
		list[i] = strconv.Itoa(f)
	}
	return strings.Join(list, ",")
}

// values reads the parts of an answer that must have n of them; show returns false when
// nobody wants more, failed is told how the answer itself ended badly.
func (c *Client) values(ctx context.Context, a asking, n int, show func(hospital.Found[Bulk]) bool, failed func(*http.Response, error)) error {
	resp, err := c.ask(ctx, a)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	parts, err := dicomweb.NewParts(resp.Body, resp.Header.Get("Content-Type"), dicomweb.Limits{MaxParts: n + 1})
	if err != nil {
		return err
	}
	defer parts.Release()
	part, err := following(parts, false)
	for i := range n {
		var b Bulk
		if err == nil {
			b, err = c.value(part)
		}
		if err == nil {
			part, err = following(parts, i == n-1)
		}
		if err != nil {
			failed(resp, err)
			return err
		}
		if !show(hospital.Found[Bulk]{Resource: b, Origin: originOf(resp)}) {
			return nil
		}
	}
	return nil
}

// following is what comes after a value, the end after the last: only then is that
// known to be whole.
func following(parts *dicomweb.Parts, end bool) (*dicomweb.Part, error) {
	part, err := parts.Next()
	switch {
	case end && err == io.EOF: //nolint:errorlint // only as it is
		return nil, nil //nolint:nilnil // nothing, as it must be
	case end && err == nil, err == io.EOF: //nolint:errorlint // see above
		return nil, hospital.Refuse(hospital.ErrUnexpectedAnswer, "more or fewer parts than were asked for")
	}
	return part, err
}

// value is a part, whole.
func (c *Client) value(part *dicomweb.Part) (Bulk, error) {
	limit := c.client.MaxBody()
	data, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case err != nil:
		return Bulk{}, err
	case int64(len(data)) > limit:
		return Bulk{}, hospital.ErrTooLarge
	}
	return Bulk{MediaType: part.MediaType, TransferSyntax: part.Params["transfer-syntax"], Data: data}, nil
}

// BulkData (大数据) reads the value that an element of a [Dataset] refers to
// (Element.BulkDataURI, PS3.18 section 10.4.1.1.5), whole and in memory: beyond
// Config.MaxBody, 16 MiB by default, it is hospital.ErrTooLarge. in is the data set as a
// verb returned it: its archive's URI is asked of that archive and nobody else, at the
// address that is known of it; one that leads elsewhere is hospital.ErrUnexpectedAnswer.
// Where the value has several parts (fragments) they come one after another.
func (c *Client) BulkData(ctx context.Context, in hospital.Found[Dataset], uri string, opts ...hospital.ReadOption) iter.Seq2[hospital.Found[Bulk], error] {
	return hospital.Stream(ctx, c.client, op("BulkData", hospital.Bulk), func(ctx context.Context, _ *fhir.Client) iter.Seq2[hospital.Found[Bulk], error] {
		u, err := c.bulkURL(in, uri)
		if err != nil {
			return verb.Fail[Bulk](err)
		}
		return c.bulk(hospital.SameStore(ctx, in.Origin), u)
	}, opts...)
}

// bulkURL is where a value is, below an endpoint's base.
func (c *Client) bulkURL(in hospital.Found[Dataset], uri string) (*url.URL, error) {
	d := in.Resource
	study, series, instance := d.Text(dicomweb.TagStudyInstanceUID), d.Text(dicomweb.TagSeriesInstanceUID), d.Text(dicomweb.TagSOPInstanceUID)
	u, err := url.Parse(uri)
	if err != nil || uri == "" || checkUIDs(study, series, instance) != nil || instance == "" {
		return nil, hospital.Refuse(hospital.ErrInvalidArgument, "a data set from Metadata and a URI that stands in it")
	}
	if !u.IsAbs() && u.Host == "" && !strings.HasPrefix(u.Path, "/") { // relative to the instance's metadata
		return (&url.URL{Path: dicomweb.Path(study, series, instance) + "/metadata"}).ResolveReference(u), nil
	}
	for _, e := range c.client.Topology().Endpoints() {
		if e.ID == in.Origin.Endpoint { // a URI may leave out the host
			u = e.Base().ResolveReference(u)
		}
	}
	return c.client.Below(in.Origin, u)
}

func (c *Client) bulk(ctx context.Context, u *url.URL) iter.Seq2[hospital.Found[Bulk], error] {
	return func(yield func(hospital.Found[Bulk], error) bool) {
		a := asking{
			template: "retrieve bulkdata", path: u.EscapedPath(), query: u.RawQuery, accept: acceptBulk, class: hospital.Bulk, listed: true,
			fits: func(media string) bool { return isBulk(media) || media == "application/octet-stream" },
		}
		resp, err := c.ask(ctx, a) // in memory: a cut is the attempt's failure
		if err != nil {
			yield(hospital.Found[Bulk]{}, err)
			return
		}
		defer resp.Body.Close()
		for b, err := range c.pieces(resp) {
			if err != nil {
				yield(hospital.Found[Bulk]{}, settled(err))
				return
			}
			if !yield(hospital.Found[Bulk]{Resource: b, Origin: originOf(resp)}, nil) {
				return
			}
		}
	}
}

// endless: nothing but the connection's end says where the answer ends, and that comes
// when a server dies, too.
func endless(resp *http.Response) bool {
	return resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed
}

// maxFragments bounds the parts of one value.
const maxFragments = 100_000

// pieces are the parts of a value, or all of it.
func (c *Client) pieces(resp *http.Response) iter.Seq2[Bulk, error] {
	return func(yield func(Bulk, error) bool) {
		contentType := resp.Header.Get("Content-Type")
		if media, params, _ := mime.ParseMediaType(contentType); media == "application/octet-stream" {
			data, err := io.ReadAll(resp.Body)
			if err == nil && endless(resp) {
				err = hospital.ErrIncomplete
			}
			yield(Bulk{MediaType: media, TransferSyntax: params["transfer-syntax"], Data: data}, err)
			return
		}
		parts, err := dicomweb.NewParts(resp.Body, contentType, dicomweb.Limits{MaxParts: maxFragments})
		if err != nil {
			yield(Bulk{}, err)
			return
		}
		defer parts.Release()
		for n := 0; ; n++ {
			part, err := parts.Next()
			if err == io.EOF { //nolint:errorlint // only as it is
				if n == 0 {
					yield(Bulk{}, hospital.Refuse(hospital.ErrUnexpectedAnswer, "an answer without a value"))
				}
				return
			}
			b := Bulk{}
			if err == nil {
				b.MediaType, b.TransferSyntax = part.MediaType, part.Params["transfer-syntax"]
				b.Data, err = io.ReadAll(part) // not longer than the answer, which is bounded
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
