package pacs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/failover"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/pacs"
)

const linkedStudy = "2.25.42"

var viewers = pacs.WithViewers(map[campus.DataCenterID]string{
	"dc-a": "https://a.test/IHEInvokeImageDisplay?theme=dark", "dc-b": "https://b.test/view/{study}#t={token}",
})

// A link leads to the viewer of a data centre whose archive is well.
func TestViewerLinkFollowsHealth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trouble func(ctx context.Context, hosp *fakes.Hospital, client *hospital.Client, images *pacs.Client)
		want    campus.DataCenterID
	}{
		"all well": {func(context.Context, *fakes.Hospital, *hospital.Client, *pacs.Client) {}, "dc-a"},
		"drained": {func(_ context.Context, _ *fakes.Hospital, client *hospital.Client, _ *pacs.Client) {
			client.Drain(failover.Selector{System: campus.PACS, DataCenter: "dc-a"})
		}, "dc-b"},
		"lost": {func(ctx context.Context, hosp *fakes.Hospital, _ *hospital.Client, images *pacs.Client) {
			hosp.Stop("dc-a")
			askOften(ctx, hosp, images)
		}, "dc-b"},
		"both lost": {func(ctx context.Context, hosp *fakes.Hospital, _ *hospital.Client, images *pacs.Client) {
			hosp.Stop("dc-a")
			hosp.Stop("dc-b")
			askOften(ctx, hosp, images)
		}, "dc-a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosp := fakes.NewHospital(t)
				client, err := hospital.New(hosp.Config())
				require.NoError(t, err)
				defer client.Close() //nolint:errcheck // it never fails
				images := pacs.New(client, viewers)
				c.trouble(t.Context(), hosp, client, images)
				link, err := images.ViewerLink(t.Context(), linkedStudy)
				require.NoError(t, err)
				assert.Equal(t, c.want, link.DataCenter)
				time.Sleep(time.Second) //nolint:forbidigo // synctest bubble: probes end
			})
		})
	}
}

// askOften lets the client learn how the sites are.
func askOften(ctx context.Context, hosp *fakes.Hospital, images *pacs.Client) {
	for range 5 {
		for _, err := range images.Series(ctx, hosp.Demo().Studies[0].UID) {
			if err != nil {
				break
			}
		}
	}
}

func TestViewerLink(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t)
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	token := pacs.WithViewerToken(func(_ context.Context, study string) (string, error) {
		assert.Equal(t, linkedStudy, study)
		return "se&cret", nil
	})
	link, err := pacs.New(client, viewers, token).ViewerLink(t.Context(), linkedStudy)
	require.NoError(t, err)
	assert.Equal(t, "https://a.test/IHEInvokeImageDisplay?requestType=STUDY&studyUID=2.25.42&theme=dark&token=se%26cret", link.URL())
	link, err = pacs.New(client, viewers, token).ViewerLink(t.Context(), linkedStudy, hospital.AtCampus("guanggu"))
	require.NoError(t, err)
	assert.Equal(t, "https://b.test/view/2.25.42#t=se%26cret", link.URL())

	var out strings.Builder
	data, err := json.Marshal(link)
	require.NoError(t, err)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("made", "link", link)
	fmt.Fprintf(&out, "%v %+v %#v %s %q %s", link, link, link, link, link, data)
	for _, secret := range []string{"cret", "2.25.42", "b.test"} {
		assert.NotContains(t, out.String(), secret)
	}
}

func TestViewerLinkRefused(t *testing.T) {
	t.Parallel()
	hosp := fakes.NewHospital(t)
	client, err := hospital.New(hosp.Config())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // it never fails
	for name, c := range map[string]struct {
		opts  []pacs.Option
		study string
		want  hospital.Code
	}{
		"no viewer":      {nil, linkedStudy, hospital.ErrInvalidArgument},
		"no UID":         {[]pacs.Option{viewers}, "../x", hospital.ErrInvalidArgument},
		"no URL":         {[]pacs.Option{pacs.WithViewers(map[campus.DataCenterID]string{"dc-a": "viewer/{study}"})}, linkedStudy, hospital.ErrInvalidArgument},
		"another scheme": {[]pacs.Option{pacs.WithViewers(map[campus.DataCenterID]string{"dc-a": "javascript://x/{study}"})}, linkedStudy, hospital.ErrInvalidArgument},
		"no token": {[]pacs.Option{viewers, pacs.WithViewerToken(func(context.Context, string) (string, error) {
			return "", errors.New("of 张三")
		})}, linkedStudy, hospital.ErrNoToken},
	} {
		_, err := pacs.New(client, c.opts...).ViewerLink(t.Context(), c.study)
		assert.Equal(t, c.want, hospital.CodeOf(err), name)
		assert.NotContains(t, fmt.Sprintf("%+v", err), "张三")
	}
}
