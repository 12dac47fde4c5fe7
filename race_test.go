//go:build race

package hospital_test

const socketMiB = 1 // of an instance
