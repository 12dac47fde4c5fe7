//go:build !race

package hospital_test

const socketMiB = 10 // of an instance
