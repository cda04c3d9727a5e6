//! The engine's own `ring.rs` and `queue`, compiled against what loom and shuttle give instead of the standard
//! library's atomics and locks. All is in the tests: `tests/ring.rs` lets loom try every order of the ring's memory
//! accesses, `tests/queue.rs` lets shuttle try schedules of the queue's threads at random.
