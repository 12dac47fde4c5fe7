package fakes

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/hospital-go/hospital/campus"
)

// Study is a made-up study: who it is of, and how many images of what size.
type Study struct {
	// UID is the Study Instance UID. Empty means one derived from the patient, the
	// accession number and the description: 2.25.…, the same from run to run.
	UID     string
	Patient campus.PatientID
	// Name has its groups, such as Zhang^Sanfeng=张^三丰. It is written in UTF-8.
	Name string
	// BirthDate is a DA, Sex M, F or O.
	BirthDate, Sex string
	// Accession is the accession number, AccessionIssuer who issued it.
	Accession, AccessionIssuer string
	// Date and Time are a DA and a TM.
	Date, Time  string
	Description string
	Series      []Series
}

// Series is a made-up series of a [Study].
type Series struct {
	// UID is the Series Instance UID; empty means one derived from the study's.
	UID         string
	Modality    string
	Description string
	// Instances is how many there are; zero means 3.
	Instances int
	// PixelBytes is the size of each one's pixel data, made while it is read and kept
	// nowhere. It is rounded up to whole frames of 64 × 64 pixels of 16 bits (8 KiB);
	// zero means one. At most 4 GiB less one frame.
	PixelBytes int64
	// SOPs are the SOP Instance UIDs. AddStudy names those that are not there yet.
	SOPs []string
}

const maxPixels = 4<<30 - frameBytes

// named is the study with whatever was left open.
func (s Study) named() Study {
	if s.UID == "" {
		s.UID = uidOf(s.Patient.Issuer, s.Patient.Value, s.Accession, s.Description)
	}
	s.Series = slices.Clone(s.Series)
	for i := range s.Series {
		of := &s.Series[i]
		if of.UID == "" {
			of.UID = uidOf(s.UID, strconv.Itoa(i))
		}
		if of.Instances == 0 {
			of.Instances = 3
		}
		of.PixelBytes = min(max(1, (of.PixelBytes+frameBytes-1)/frameBytes)*frameBytes, maxPixels)
		of.SOPs = slices.Clone(of.SOPs)
		for n := len(of.SOPs); n < of.Instances; n++ {
			of.SOPs = append(of.SOPs, uidOf(of.UID, strconv.Itoa(n)))
		}
	}
	return s
}

// instance is one image of a store. It is not changed.
type instance struct {
	file
	at     time.Time
	head   []byte // of the file; all of it where whole
	whole  bool
	made   bool // pixels follow the head from a seed
	size   int64
	digest [sha256.Size]byte // not of made ones
}

// errNotKept is an instance of which the bytes were too many.
var errNotKept = errors.New("fakes: only the digest of this instance was kept")

// open reads the file; a kept one by its bytes.
func (i *instance) open() (io.Reader, error) {
	switch {
	case i.made:
		return io.MultiReader(bytes.NewReader(i.head), newNoise(i.sop, 0, i.pixelsN)), nil
	case i.whole:
		return bytes.NewReader(i.head), nil
	}
	return nil, errNotKept
}

// value reads a piece of the pixel data.
func (i *instance) value(from, n int64) (io.Reader, error) {
	switch {
	case i.made:
		return newNoise(i.sop, from, n), nil
	case i.whole:
		return bytes.NewReader(i.head[i.pixels+from : i.pixels+from+n]), nil
	}
	return nil, errNotKept
}

// sum is the digest of the file.
func (i *instance) sum() [sha256.Size]byte {
	if !i.made {
		return i.digest
	}
	h := sha256.New()
	r, _ := i.open()
	_, _ = io.Copy(h, r)
	return [sha256.Size]byte(h.Sum(nil))
}

// pictures are the images of a store, oldest first. The slice only grows.
func (s *store) pictures() []*instance {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images
}

// file finds an instance, nil when there is none.
func (s *store) file(sop string) *instance {
	list := s.pictures()
	if i := slices.IndexFunc(list, func(x *instance) bool { return x.sop == sop }); i >= 0 {
		return list[i]
	}
	return nil
}

// add puts an instance in, unless one of its name is there: then that is returned.
func (s *store) add(i *instance) (existing *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.IndexFunc(s.images, func(x *instance) bool { return x.sop == i.sop }); at >= 0 {
		return s.images[at]
	}
	i.at = time.Now()
	s.images = append(s.images, i)
	return nil
}

// imagesUntil is how many images there were at a time.
func imagesUntil(list []*instance, at time.Time) int {
	if n := slices.IndexFunc(list, func(i *instance) bool { return i.at.After(at) }); n >= 0 {
		return n
	}
	return len(list)
}

// archive is a store that follows none.
func (h *Hospital) archive(id campus.StoreID) *store {
	s := h.stores[id]
	if s == nil || s.source() != nil {
		panic(fmt.Sprintf("fakes: %q is no store that could be added to", id))
	}
	return s
}

// AddStudy puts a made-up study into a store and returns it with its UIDs. What is
// there already stays as it is. A replica gets it from its original. It panics for a UID
// that is none, and a store that is none or follows another.
func (h *Hospital) AddStudy(id campus.StoreID, s Study) Study {
	s = s.named()
	for e := range s.Series {
		for n := range s.Series[e].SOPs {
			head := s.head(e, n, !h.personality.NoIssuer)
			f, err := parseFile(head)
			if err != nil {
				panic(fmt.Sprintf("fakes: AddStudy: UIDs must be digits and dots: %v", err))
			}
			h.archive(id).add(&instance{file: f, head: head, made: true, size: int64(len(head)) + f.pixelsN})
		}
	}
	return s
}

// AddInstances puts DICOM files into a store as they are. It fails, and adds none, for
// one that cannot be read; it leaves alone what is there already. A replica gets them
// from its original. It panics for a store that is none or follows another.
func (h *Hospital) AddInstances(id campus.StoreID, files ...[]byte) error {
	list := make([]*instance, len(files))
	for n, data := range files {
		f, err := parseFile(data)
		if err == nil && !f.complete(int64(len(data))) {
			err = errNotDICOM
		}
		if err != nil {
			return fmt.Errorf("file %d: %w", n, err)
		}
		list[n] = &instance{file: f, head: slices.Clone(data), whole: true, size: int64(len(data)), digest: sha256.Sum256(data)}
	}
	for _, i := range list {
		h.archive(id).add(i)
	}
	return nil
}

// Instances returns the SOP Instance UIDs of a study in a store, in the order in which
// they came. It panics for a store that is none.
func (h *Hospital) Instances(id campus.StoreID, study string) []string {
	var out []string
	for _, i := range h.stores[id].pictures() {
		if i.study == study {
			out = append(out, i.sop)
		}
	}
	return out
}

// StoredInstance returns the bytes of an instance in a store, false when there is none
// or only its digest was kept. It panics for a store that is none.
func (h *Hospital) StoredInstance(id campus.StoreID, sop string) ([]byte, bool) {
	i := h.stores[id].file(sop)
	if i == nil {
		return nil, false
	}
	r, err := i.open()
	if err != nil {
		return nil, false
	}
	data, err := io.ReadAll(r)
	return data, err == nil
}

// StoredDigest returns the SHA-256 and the size of an instance in a store, false when
// there is none. It panics for a store that is none.
func (h *Hospital) StoredDigest(id campus.StoreID, sop string) (digest [sha256.Size]byte, size int64, ok bool) {
	i := h.stores[id].file(sop)
	if i == nil {
		return digest, 0, false
	}
	return i.sum(), i.size, true
}
