package hospital_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/hospital-go/hospital"

// floors is the architecture: what each room's non-test code may import, beside
// the standard library. A room that is missing here fails the test.
var floors = map[string]struct{ own, foreign []string }{
	"internal/memnet":     {},
	"internal/r4gen":      {},
	"internal/configref":  {own: []string{"internal/strictyaml"}, foreign: []string{"go.yaml.in/yaml/v3"}},
	"internal/dicomweb":   {},
	"internal/link":       {},
	"internal/strictyaml": {foreign: []string{"go.yaml.in/yaml/v3"}},
	"campus":              {own: []string{"internal/link"}},
	"fhir/r4":             {},
	"fhir":                {own: []string{"fhir/r4", "internal/link"}},
	"failover": {
		own:     []string{"campus"},
		foreign: []string{"github.com/hashicorp/go-retryablehttp", "github.com/sony/gobreaker/v2"},
	},
	"tracing": {
		own: []string{"campus", "failover"},
		foreign: []string{
			"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes",
			"go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/propagation", "go.opentelemetry.io/otel/trace",
		},
	},
	"": {
		own:     []string{"campus", "failover", "fhir", "fhir/r4", "internal/link", "internal/strictyaml", "tracing"},
		foreign: []string{"github.com/golang-jwt/jwt/v5", "github.com/google/uuid", "golang.org/x/sync/singleflight"},
	},
	"internal/verb":         {own: []string{"", "campus", "fhir", "fhir/r4"}},
	"internal/booking":      {own: []string{"", "campus", "fhir", "fhir/r4", "internal/verb"}},
	"internal/order":        {own: []string{"", "campus", "fhir", "fhir/r4", "internal/verb"}},
	"internal/critical":     {own: []string{"", "campus", "fhir", "fhir/r4", "internal/verb"}},
	"internal/report":       {own: []string{"", "campus", "fhir", "fhir/r4", "internal/verb"}},
	"lis":                   {own: []string{"", "campus", "fhir", "fhir/r4", "internal/critical", "internal/order", "internal/report", "internal/verb"}},
	"his":                   {own: []string{"", "campus", "fhir", "fhir/r4", "internal/booking", "internal/verb"}},
	"pacs":                  {own: []string{"", "campus", "failover", "fhir", "fhir/r4", "internal/booking", "internal/critical", "internal/dicomweb", "internal/order", "internal/report", "internal/verb"}},
	"fakes":                 {own: []string{"", "campus", "failover", "fhir", "fhir/r4", "his", "internal/memnet"}},
	"examples/quickstart":   {own: []string{"", "campus", "failover", "fakes", "fhir", "fhir/r4", "his"}, foreign: otelSDK},
	"examples/fakehospital": {own: []string{"", "campus", "fakes", "fhir", "fhir/r4"}},
	"examples/greyrelease":  {own: []string{"", "campus", "failover", "fakes", "fhir", "fhir/r4", "his"}},
	"examples/imagefetch":   {own: []string{"", "campus", "fakes", "fhir", "fhir/r4", "pacs"}},
	"examples/outagedrill":  {own: []string{"", "campus", "failover", "fakes", "fhir", "fhir/r4", "his"}},
}

var otelSDK = []string{
	"go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/sdk/trace", "go.opentelemetry.io/otel/sdk/trace/tracetest",
}

func TestLayering(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Module", "./...")
	out, err := list.Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		}
		room := inside(p.ImportPath)
		rule, known := floors[room]
		if !assert.True(t, known, "room %q is not in the plan; say what it may import", room) {
			continue
		}
		seen[room] = true
		for _, imported := range p.Imports {
			switch first, _, _ := strings.Cut(imported, "/"); {
			case imported == module || strings.HasPrefix(imported, module+"/"):
				assert.Contains(t, rule.own, inside(imported), "%q must not import %q", room, imported)
			case strings.Contains(first, "."):
				assert.Contains(t, rule.foreign, imported, "%q must not import %q", room, imported)
			}
		}
	}
	for room := range floors {
		assert.True(t, seen[room], "room %q is in the plan but not in the house", room)
	}
}

func inside(path string) string { return strings.Trim(strings.TrimPrefix(path, module), "/") }
