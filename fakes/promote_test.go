package fakes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hospital-go/hospital"
	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/fakes"
	"github.com/hospital-go/hospital/his"
)

func storeOf(t *testing.T, hosp *fakes.Hospital, id campus.StoreID) campus.Store {
	t.Helper()
	for _, s := range hosp.Description().Stores {
		if s.ID == id {
			return s
		}
	}
	require.Failf(t, "no store", "%s", id)
	return campus.Store{}
}

const newcomer = `{"resourceType":"Patient","name":[{"text":"钱多多"}]}`

func TestPromote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t, fakes.WithLag(time.Minute))
		w := dialed(t, hosp)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		status, _ := w.send(t.Context(), "POST", dcA+"/Patient", newcomer, nil)
		require.Equal(t, 201, status)
		status, _ = w.send(t.Context(), "POST", dr+"/Patient", newcomer, nil)
		require.Equal(t, 403, status, "not yet")

		before := hosp.Description()
		hosp.Promote(campus.HIS)
		after := hosp.Description()
		assert.Equal(t, before.Version+1, after.Version)
		assert.Equal(t, campus.Store{ID: "his", ReplicaOf: "his-dr", Epoch: 1}, storeOf(t, hosp, "his"))
		assert.Equal(t, campus.Store{ID: "his-dr", Writers: []campus.DataCenterID{"dr"}, Epoch: 2}, storeOf(t, hosp, "his-dr"))
		assert.Equal(t, int64(1), storeOf(t, hosp, "emr").Epoch, "other systems stay")
		_, err := campus.New(after)
		require.NoError(t, err)
		hosp.Promote(campus.HIS)
		assert.Equal(t, after, hosp.Description(), "once")

		status, _ = w.send(t.Context(), "POST", dr+"/Patient", newcomer, nil)
		assert.Equal(t, 201, status)
		status, _ = w.send(t.Context(), "POST", dcA+"/Patient", newcomer, nil)
		assert.Equal(t, 201, status, "a misdirected write shows")
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		_, there := w.send(t.Context(), "GET", dr+"/Patient?name=%E9%92%B1&_summary=count", "", nil)
		assert.Contains(t, there, `"total":1`, "it follows no more, and the last minute before is lost")
	})
}

// A client that begins with the new description writes to the standby.
func TestClientAfterPromotion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest bubble
		hosp.Promote(campus.HIS)
		client, err := hospital.New(hosp.ConfigAt("guanggu"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		found, err := his.New(client).Patient(t.Context(), hosp.Demo().Patients[0])
		require.NoError(t, err)
		assert.Equal(t, campus.DataCenterID("dr"), found.Origin.DataCenter)
	})
}

func TestDescriptionIsACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosp := fakes.NewHospital(t)
		hosp.Promote(campus.EMR)
		want := hosp.Description()
		got := hosp.Description()
		got.Campuses[0].Home, got.Endpoints[0].URL, got.Endpoints[0].Aliases[0] = "x", "x", "x"
		got.Stores[3].Writers[0], got.Systems[0].ID, got.DataCenters[0].ID = "x", "x", "x"
		assert.Equal(t, want, hosp.Description())
		assert.Equal(t, want, hosp.Config().Topology)
	})
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lag       time.Duration
		epochs    [2]int64 // of the store and its replica
		copyKnows bool
	}{
		"the copy had not come that far": {time.Hour, [2]int64{2, 1}, false},
		"the copy goes back too":         {time.Second, [2]int64{2, 2}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { restore(t, c.lag, c.epochs, c.copyKnows) })
		})
	}
}

func restore(t *testing.T, lag time.Duration, epochs [2]int64, copyKnows bool) {
	t.Helper()
	hosp := fakes.NewHospital(t, fakes.WithLag(lag), fakes.WithoutDemoData())
	w := dialed(t, hosp)
	send := func(method, url, body string) (int, string) { return w.send(t.Context(), method, url, body, nil) }
	const named = `{"resourceType":"Patient","id":"1001","name":[{"text":"乙"}]}`
	status, _ := send("POST", dcA+"/Patient", newcomer)
	require.Equal(t, 201, status)
	time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
	good := time.Now()
	time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
	send("PUT", dcA+"/Patient/1001", named)
	_, lost := send("POST", dcA+"/Patient", newcomer)
	assert.Contains(t, lost, `"id":"1002"`)
	time.Sleep(time.Minute) //nolint:forbidigo // synctest bubble
	status, _ = send("GET", dr+"/Patient/1003", "")
	assert.Equal(t, copyKnows, status == 200)

	version := hosp.Description().Version
	hosp.Restore(campus.HIS, good)
	assert.Equal(t, version+1, hosp.Description().Version)
	assert.Equal(t, epochs[0], storeOf(t, hosp, "his").Epoch)
	assert.Equal(t, epochs[1], storeOf(t, hosp, "his-dr").Epoch)

	_, body := send("GET", dcA+"/Patient/1001", "")
	assert.Contains(t, body, "钱多多")
	assert.Contains(t, body, `"versionId":"1"`)
	status, _ = send("GET", dcA+"/Patient/1002", "")
	assert.Equal(t, 404, status, "never heard of")
	status, _ = send("GET", dr+"/Patient/1003", "")
	assert.Equal(t, 404, status, "nor there")
	_, body = send("GET", dcA+"/Patient/1001/_history", "")
	assert.Contains(t, body, `"total":1`)

	_, body = send("PUT", dcA+"/Patient/1001", named)
	assert.Contains(t, body, `"versionId":"2"`, "given again")
	_, body = send("POST", dcA+"/Patient", `{"resourceType":"Patient","name":[{"text":"丙"}]}`)
	assert.Contains(t, body, `"id":"1002"`, "given again")
	time.Sleep(2 * time.Hour) //nolint:forbidigo // synctest bubble
	_, body = send("GET", dr+"/Patient/1003", "")
	assert.Contains(t, body, "丙", "the copy follows what there is now")
	_, body = send("GET", dr+"/Patient/1002", "")
	assert.Contains(t, body, "乙")
}
