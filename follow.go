package hospital

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hospital-go/hospital/campus"
	"github.com/hospital-go/hospital/internal/strictyaml"
)

// TopologyEvent is one document of a [Source], or that none could be had.
type TopologyEvent struct {
	Time time.Time
	// Version of the document, 0 when there is none.
	Version int64
	// Taken: it is in force now.
	Taken bool
	// Err is why not: a [*ConfigFaults], the source's error, or an [ErrTopology].
	Err error
}

// ErrTopology is a sound document that must not follow the one in force.
var ErrTopology = errors.New("hospital: the description cannot follow the one in force")

// Fetch asks c.Source once and puts the description it brings into c.Topology.
// While the source cannot be had, or brings what may not follow, the last good
// description in StateDir is taken; without one c.Topology stays as it is. What was
// refused is told to OnTopology and Logger. The error is the source's, and nil when
// there is a description to start with all the same.
func (c *Config) Fetch(ctx context.Context) error {
	if c.Source == nil {
		return nil
	}
	var newest *campus.Description
	if !reflect.ValueOf(c.Topology).IsZero() {
		newest = &c.Topology
	}
	memory := c.remembered()
	memory.epochs = epochsOf(newest, epochsOf(memory.description, memory.epochs))
	if kept := memory.description; kept != nil && follows(newest, kept, nil) == nil && c.sound(kept) == nil {
		newest = kept
	}
	data, err := c.Source.Fetch(ctx)
	if errors.Is(err, ErrUnchanged) {
		err = c.refusal // of the same document, when it came
	} else if err == nil {
		var fetched *campus.Description
		if fetched, err = c.acceptable(data, newest, memory.epochs); err == nil {
			newest = fetched
			_ = c.keep(data, fetched, memory.epochs)
		}
		c.refusal = err
	}
	if err != nil {
		c.tell(TopologyEvent{Time: time.Now(), Err: err})
	}
	if newest == nil {
		return err
	}
	c.Topology = *newest
	return nil
}

// acceptable reads a document and says whether it may follow and fits here.
func (c *Config) acceptable(data []byte, old *campus.Description, epochs map[campus.StoreID]int64) (*campus.Description, error) {
	next, err := readDescription(data)
	if err == nil {
		err = follows(old, next, epochs)
	}
	if err == nil {
		err = c.sound(next)
	}
	return next, err
}

// readDescription takes the group out of a document and checks it.
func readDescription(data []byte) (*campus.Description, error) {
	var file configFile
	doc, problems := strictyaml.Decode(data, &file)
	faults := &ConfigFaults{File: "source"}
	for _, p := range problems {
		faults.Faults = append(faults.Faults, ConfigFault(p))
	}
	if len(problems) == 0 {
		var wrong campus.Faults
		if _, err := campus.New(file.Description); errors.As(err, &wrong) {
			for _, f := range wrong {
				line, column := doc.At(f.Place)
				faults.Faults = append(faults.Faults, ConfigFault{Line: line, Column: column, Place: f.Place, Problem: f.Problem})
			}
		}
	}
	if len(faults.Faults) > 0 {
		return nil, faults
	}
	return &file.Description, nil
}

// follows: may next come after old? Equal ones may. epochs are the highest ever
// taken, of stores too that old has no more.
func follows(old, next *campus.Description, epochs map[campus.StoreID]int64) error {
	if old != nil && sameDescription(old, next) {
		return nil
	}
	if old != nil && next.Version <= old.Version {
		return fmt.Errorf("%w: its version is %d, that in force %d; a change needs a higher one", ErrTopology, next.Version, old.Version)
	}
	highest := epochsOf(old, epochs)
	for _, s := range next.Stores {
		was, known := highest[s.ID]
		switch {
		case s.Epoch < was:
			return fmt.Errorf("%w: the epoch of store %s goes back from %d to %d", ErrTopology, s.ID, was, s.Epoch)
		case known && s.Epoch-was > maxEpochJump:
			return fmt.Errorf("%w: the epoch of store %s jumps from %d to %d; it rises by one, or a reset is needed", ErrTopology, s.ID, was, s.Epoch)
		}
	}
	return writersFollow(old, next)
}

// maxEpochJump is how many promotions and restores may have been missed. A higher
// one is a mistake that could never be taken back.
const maxEpochJump = 100

// writersFollow: who writes changes with a higher epoch only. Two descriptions of
// one epoch that name different writers contradict each other.
func writersFollow(old, next *campus.Description) error {
	if old == nil {
		return nil
	}
	before, after := writersOf(old), writersOf(next)
	for root, was := range before {
		now, still := after[root]
		if still && (now.store != was.store || now.writers != was.writers) && now.epoch <= was.epoch {
			return fmt.Errorf("%w: the writer of store %s changes from %s (%s) to %s (%s) without a higher epoch than %d",
				ErrTopology, root, was.store, was.writers, now.store, now.writers, was.epoch)
		}
	}
	return nil
}

// writer is who writes a store or one of its copies.
type writer struct {
	store   campus.StoreID
	writers string // the named ones
	epoch   int64
}

// writersOf is by the smallest name of a store and its copies, which a promotion
// leaves as it is.
func writersOf(d *campus.Description) map[campus.StoreID]writer {
	roots := map[campus.StoreID]campus.StoreID{}
	for _, s := range d.Stores {
		original := cmp.Or(s.ReplicaOf, s.ID)
		roots[original] = min(cmp.Or(roots[original], original), s.ID)
	}
	out := map[campus.StoreID]writer{}
	for _, s := range d.Stores {
		if len(s.Writers) == 0 && s.ReplicaOf != "" {
			continue
		}
		names := make([]string, 0, len(s.Writers))
		for _, dc := range s.Writers {
			names = append(names, string(dc))
		}
		slices.Sort(names)
		out[roots[cmp.Or(s.ReplicaOf, s.ID)]] = writer{s.ID, cmp.Or(strings.Join(names, ", "), "all active"), s.Epoch}
	}
	return out
}

// ForgetState drops what StateDir remembers: the last description, and the highest
// epochs ever taken. It is for an operator after a description with a mistaken
// epoch was taken; programs that run keep what they know until they start again.
func (c *Config) ForgetState() error {
	if c.StateDir == "" {
		return nil
	}
	var all error
	for _, name := range []string{keptName, epochsName} {
		if err := os.Remove(filepath.Join(c.StateDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// sameDescription holds an empty list and none for the same.
func sameDescription(a, b *campus.Description) bool {
	return fmt.Sprintf("%+v", *a) == fmt.Sprintf("%+v", *b)
}

// epochsOf adds a description's epochs to those known before.
func epochsOf(d *campus.Description, known map[campus.StoreID]int64) map[campus.StoreID]int64 {
	out := maps.Clone(known)
	if out == nil {
		out = map[campus.StoreID]int64{}
	}
	if d != nil {
		for _, s := range d.Stores {
			out[s.ID] = max(out[s.ID], s.Epoch)
		}
	}
	return out
}

// Names in StateDir.
const (
	keptName   = "topology.yaml"
	epochsName = "epochs.json"
)

// memory is what StateDir holds.
type memory struct {
	description *campus.Description // nil: none that is sound
	epochs      map[campus.StoreID]int64
}

func (c *Config) remembered() memory {
	var m memory
	if c.StateDir == "" {
		return m
	}
	if data, err := readState(c.StateDir, keptName); err == nil {
		m.description, err = readDescription(data)
		if err != nil {
			m.description = nil // half written, or by another version
		}
	}
	if data, err := readState(c.StateDir, epochsName); err == nil {
		_ = json.Unmarshal(data, &m.epochs)
	}
	return m
}

func readState(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // a folder of the configuration
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read only
	return readDocument(f)
}

// keep stores a document that was taken; it is whole or not there, and never takes
// the place of a higher one, which another process may have kept.
func (c *Config) keep(data []byte, taken *campus.Description, known map[campus.StoreID]int64) error {
	if c.StateDir == "" {
		return nil
	}
	m := c.remembered()
	for id, epoch := range m.epochs { // another process may have seen more
		known = epochsOf(&campus.Description{Stores: []campus.Store{{ID: id, Epoch: epoch}}}, known)
	}
	epochs, err := json.Marshal(epochsOf(taken, known))
	if err == nil && (m.description == nil || m.description.Version <= taken.Version) {
		err = replaceFile(c.StateDir, keptName, data)
	}
	if err == nil {
		err = replaceFile(c.StateDir, epochsName, epochs)
	}
	if err != nil && c.Logger != nil {
		c.Logger.Warn("hospital cannot keep the description", "folder", c.StateDir)
	}
	return err
}

func replaceFile(dir, name string, data []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// follower is what a client knows of the documents it follows.
type follower struct {
	inForce campus.Description
	epochs  map[campus.StoreID]int64
	unkept  []byte // taken, and still to be kept
	told    string // the last refusal, which is not repeated
}

// follow asks the source for as long as the client lives.
func (c *Client) follow() {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	c.stopFollowing = func() { stop(); done.Wait() }
	f := &follower{inForce: c.config.Topology, epochs: epochsOf(&c.config.Topology, c.config.remembered().epochs)}
	done.Go(func() {
		ticker := time.NewTicker(c.config.sourceEvery())
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				c.look(ctx, f)
			}
		}
	})
}

func (c *Config) sourceEvery() time.Duration {
	switch _, file := c.Source.(*FileSource); {
	case c.SourceEvery > 0:
		return c.SourceEvery
	case file:
		return 5 * time.Second
	}
	return 30 * time.Second
}

// look asks once and takes what may follow.
func (c *Client) look(ctx context.Context, f *follower) {
	if f.unkept != nil && c.config.keep(f.unkept, &f.inForce, f.epochs) == nil {
		f.unkept = nil
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	data, err := c.config.Source.Fetch(ctx)
	if errors.Is(err, ErrUnchanged) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	event := TopologyEvent{Time: time.Now(), Err: err}
	var next *campus.Description
	if err == nil {
		next, event.Err = c.config.acceptable(data, &f.inForce, f.epochs)
	}
	if next != nil {
		event.Version = next.Version
	}
	if event.Err == nil {
		f.told = ""
		if sameDescription(&f.inForce, next) {
			return // the same in other words
		}
		event.Err = c.take(next)
	}
	if event.Taken = event.Err == nil; event.Taken {
		f.inForce, f.epochs = *next, epochsOf(next, f.epochs)
		if c.config.keep(data, next, f.epochs) != nil {
			f.unkept = data
		}
	} else if f.told == event.Err.Error() {
		return // a source that stays down is one event
	} else {
		f.told = event.Err.Error()
	}
	c.config.tell(event)
}

// take puts a description in force.
func (c *Client) take(next *campus.Description) error {
	topology, err := campus.New(*next)
	if err != nil {
		return err
	}
	c.engine.Update(topology)
	return nil
}

func (c *Config) tell(e TopologyEvent) {
	if c.OnTopology != nil {
		c.OnTopology(e)
	}
	if c.Logger == nil {
		return
	}
	if e.Taken {
		c.Logger.Info("hospital description taken", "version", e.Version)
		return
	}
	c.Logger.Warn("hospital description refused", "version", e.Version, "error", e.Err)
}
