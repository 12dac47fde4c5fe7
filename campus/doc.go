// Package campus describes a hospital group as data and answers, purely, where
// a call may go.
//
// A [Description] lists what there is: organizations (机构/法人), campuses (院区),
// data centres (数据中心), environments (环境), systems, stores (存储) and the
// endpoints that are their doors. [New] checks all of it at once and returns an
// immutable [Topology], safe for concurrent use:
//
//	Campus ── home ──▶ DataCenter
//	                      │ holds
//	System ◀── of ── Endpoint ── door to ──▶ Store (── replica of ──▶ Store)
//
// [Topology.Route] is the routing policy: endpoints in the order in which a call
// of one kind, from one campus, to one system, should try them. It knows no
// health, holds no lock and reads no clock; package failover adds those.
//
// The one word to keep apart: two endpoints of the same Store share ids,
// versions and fate; between two Stores there is lag, and a logical id of one
// names somebody else in the other.
package campus
