package fakes

import (
	"slices"
	"strconv"
	"strings"
)

// level is a resource of DICOMweb, from the whole to its parts.
type level int

const (
	studyLevel level = iota
	seriesLevel
	instanceLevel
	itemLevel // inside sequences only
)

// Tags that the code names.
const (
	tagTransferSyntax   = 0x00020010
	tagCharset          = 0x00080005
	tagSOPClass         = 0x00080016
	tagSOPInstance      = 0x00080018
	tagStudyDate        = 0x00080020
	tagStudyTime        = 0x00080030
	tagAccession        = 0x00080050
	tagAccessionIssuer  = 0x00080051
	tagAvailability     = 0x00080056
	tagModality         = 0x00080060
	tagModalities       = 0x00080061
	tagStudyDescription = 0x00081030
	tagDescription      = 0x0008103E // of a series
	tagRefClass         = 0x00081150
	tagRefInstance      = 0x00081155
	tagRetrieveURL      = 0x00081190
	tagWarning          = 0x00081196
	tagFailure          = 0x00081197
	tagFailed           = 0x00081198
	tagReferenced       = 0x00081199
	tagOtherFailures    = 0x0008119A
	tagPatientName      = 0x00100010
	tagPatientID        = 0x00100020
	tagPatientIssuer    = 0x00100021
	tagBirthDate        = 0x00100030
	tagSex              = 0x00100040
	tagStudy            = 0x0020000D
	tagSeries           = 0x0020000E
	tagStudyID          = 0x00200010
	tagSeriesNumber     = 0x00200011
	tagInstanceNumber   = 0x00200013
	tagStudySeries      = 0x00201206
	tagStudyInstances   = 0x00201208
	tagSeriesInstances  = 0x00201209
	tagSamples          = 0x00280002
	tagPhotometric      = 0x00280004
	tagFrames           = 0x00280008
	tagRows             = 0x00280010
	tagColumns          = 0x00280011
	tagBitsAllocated    = 0x00280100
	tagBitsStored       = 0x00280101
	tagHighBit          = 0x00280102
	tagRepresentation   = 0x00280103
	tagIntercept        = 0x00281052
	tagSlope            = 0x00281053
	tagLocalNamespace   = 0x00400031
	tagPixels           = 0x7FE00010
	tagItem             = 0xFFFEE000
	tagItemEnd          = 0xFFFEE00D
	tagSequenceEnd      = 0xFFFEE0DD
)

// attribute is what is known of a tag (PS3.6).
type attribute struct {
	tag     uint32
	keyword string
	vr      string
	level   level
	shown   bool // unasked, by a search at its level (PS3.18 tables 10.6.3-3 to 5)
}

// attributes are those that can be searched by, asked for, or read without their VR.
var attributes = []attribute{
	{tagCharset, "SpecificCharacterSet", "CS", studyLevel, true},
	{tagStudyDate, "StudyDate", "DA", studyLevel, true},
	{tagStudyTime, "StudyTime", "TM", studyLevel, true},
	{tagAccession, "AccessionNumber", "SH", studyLevel, true},
	{tagAccessionIssuer, "IssuerOfAccessionNumberSequence", "SQ", studyLevel, false},
	{tagAvailability, "InstanceAvailability", "CS", studyLevel, true},
	{tagModalities, "ModalitiesInStudy", "CS", studyLevel, true},
	{0x00080090, "ReferringPhysicianName", "PN", studyLevel, true},
	{0x00080201, "TimezoneOffsetFromUTC", "SH", studyLevel, true},
	{tagStudyDescription, "StudyDescription", "LO", studyLevel, false},
	{tagRetrieveURL, "RetrieveURL", "UR", studyLevel, true},
	{tagPatientName, "PatientName", "PN", studyLevel, true},
	{tagPatientID, "PatientID", "LO", studyLevel, true},
	{tagPatientIssuer, "IssuerOfPatientID", "LO", studyLevel, false},
	{tagBirthDate, "PatientBirthDate", "DA", studyLevel, true},
	{tagSex, "PatientSex", "CS", studyLevel, true},
	{0x00101010, "PatientAge", "AS", studyLevel, false},
	{tagStudy, "StudyInstanceUID", "UI", studyLevel, true},
	{tagStudyID, "StudyID", "SH", studyLevel, true},
	{tagStudySeries, "NumberOfStudyRelatedSeries", "IS", studyLevel, true},
	{tagStudyInstances, "NumberOfStudyRelatedInstances", "IS", studyLevel, true},
	{0x00080021, "SeriesDate", "DA", seriesLevel, false},
	{0x00080031, "SeriesTime", "TM", seriesLevel, false},
	{tagModality, "Modality", "CS", seriesLevel, true},
	{0x00080070, "Manufacturer", "LO", seriesLevel, false},
	{0x00080080, "InstitutionName", "LO", seriesLevel, false},
	{tagDescription, "SeriesDescription", "LO", seriesLevel, true},
	{0x00180015, "BodyPartExamined", "CS", seriesLevel, false},
	{tagSeries, "SeriesInstanceUID", "UI", seriesLevel, true},
	{tagSeriesNumber, "SeriesNumber", "IS", seriesLevel, true},
	{tagSeriesInstances, "NumberOfSeriesRelatedInstances", "IS", seriesLevel, true},
	{0x00400244, "PerformedProcedureStepStartDate", "DA", seriesLevel, true},
	{0x00400245, "PerformedProcedureStepStartTime", "TM", seriesLevel, true},
	{0x00400275, "RequestAttributesSequence", "SQ", seriesLevel, true},
	{0x00080008, "ImageType", "CS", instanceLevel, false},
	{tagSOPClass, "SOPClassUID", "UI", instanceLevel, true},
	{tagSOPInstance, "SOPInstanceUID", "UI", instanceLevel, true},
	{0x00080023, "ContentDate", "DA", instanceLevel, false},
	{0x00080033, "ContentTime", "TM", instanceLevel, false},
	{tagInstanceNumber, "InstanceNumber", "IS", instanceLevel, true},
	{tagSamples, "SamplesPerPixel", "US", instanceLevel, false},
	{tagPhotometric, "PhotometricInterpretation", "CS", instanceLevel, false},
	{tagFrames, "NumberOfFrames", "IS", instanceLevel, true},
	{tagRows, "Rows", "US", instanceLevel, true},
	{tagColumns, "Columns", "US", instanceLevel, true},
	{tagBitsAllocated, "BitsAllocated", "US", instanceLevel, true},
	{tagBitsStored, "BitsStored", "US", instanceLevel, false},
	{tagHighBit, "HighBit", "US", instanceLevel, false},
	{tagRepresentation, "PixelRepresentation", "US", instanceLevel, false},
	{tagIntercept, "RescaleIntercept", "DS", instanceLevel, false},
	{tagSlope, "RescaleSlope", "DS", instanceLevel, false},
	{0x00400009, "ScheduledProcedureStepID", "SH", itemLevel, false},
	{tagLocalNamespace, "LocalNamespaceEntityID", "UT", itemLevel, false},
	{0x00400032, "UniversalEntityID", "UT", itemLevel, false},
	{0x00400033, "UniversalEntityIDType", "CS", itemLevel, false},
	{0x00401001, "RequestedProcedureID", "SH", itemLevel, false},
}

func attributeOf(tag uint32) (attribute, bool) {
	i := slices.IndexFunc(attributes, func(a attribute) bool { return a.tag == tag })
	if i < 0 {
		return attribute{level: instanceLevel}, false
	}
	return attributes[i], true
}

// vrOf is a tag's VR, UN for one that is not known.
func vrOf(tag uint32) string {
	if a, known := attributeOf(tag); known {
		return a.vr
	}
	return "UN"
}

// parseTag reads eight hexadecimal digits or a keyword.
func parseTag(name string) (uint32, bool) {
	if i := slices.IndexFunc(attributes, func(a attribute) bool { return a.keyword == name }); i >= 0 {
		return attributes[i].tag, true
	}
	tag, err := strconv.ParseUint(name, 16, 32)
	return uint32(tag), err == nil && len(name) == 8
}

// parsePath reads tags or keywords that lead into sequences.
func parsePath(name string) ([]uint32, bool) {
	var path []uint32
	for part := range strings.SplitSeq(name, ".") {
		tag, ok := parseTag(part)
		if !ok {
			return nil, false
		}
		path = append(path, tag)
	}
	return path, true
}
