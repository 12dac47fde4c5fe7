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
// # Describing your hospital
//
// Answer these questions, in this order; hospital.yaml has a list for each, and
// examples/hospital.yaml shows every key.
//
//  1. Which legal entities are there? Invoices, insurance and permission follow them: organizations.
//
//  2. Where are patients treated? Each place is one of campuses, belongs to one
//     organization, and has a home: the data centre its calls try first. If it issues
//     patient numbers of its own, patientIssuer says under which name: calls across
//     campuses ask it by those only.
//
//  3. Where do servers run? Each place is one of datacenters. Active ones serve all
//     day; a standby holds a copy and serves nothing until you say so.
//
//  4. What is called? Each kind of server is one of systems. If one installation
//     serves several campuses, campusBy says how a request names its campus.
//
//  5. What data is one? This is the question to think about. Two doors to one database
//     (RAC, a cluster) are one store: same ids, same versions. A copy that follows
//     behind is another store, replicaOf the first, with its lag. Two databases
//     that know nothing of each other are two stores, and a campus writes in one.
//
//  6. Which doors are there? Each URL is one of endpoints: a system in a data centre
//     (and environment), a door to a store. If its servers call themselves by other
//     names in links (a balancer's), those are its aliases; without them pages
//     cannot be followed. A door to images says in dicomweb where it differs from the
//     standard, and whose its numbers are when they come without an issuer.
//
//  7. What was proved of each door? contract: try it, then declare it; the default
//     promises nothing. Package hospital tells what each promise needs.
//
//  8. What stands before it? front where it is a balancer's name, healthPath where a
//     balancer decides by one, http2 where it speaks that.
//
// Change a description by raising its version; raise a store's epoch when ids or
// versions may have been issued again: after a promotion, or a restore to an
// earlier point. Who writes a store changes with a higher epoch only, so that two
// descriptions that contradict each other can be told apart; where the role moves by
// itself between doors of one store, rolePath says where to ask. Take an endpoint
// out by drained, or by fenced where it must get nothing at all.
//
// # Stores
//
// The one word to keep apart: two endpoints of the same Store share ids,
// versions and fate; between two Stores there is lag, and a logical id of one
// names somebody else in the other.
package campus
