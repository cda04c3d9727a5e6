//! ZMTP 3, the protocol of `ZeroMQ`, without sockets: bytes come in, events go out.
//!
//! After the ZMTP specification, [RFC 23](https://rfc.zeromq.org/spec/23/) and [37](https://rfc.zeromq.org/spec/37/), with
//! the NULL mechanism. Every length and count is bounded before a byte is kept.
//!
//! | module | decodes |
//! |---|---|
//! | [`publisher`] | what a PUB socket hears: subscriptions |
//! | [`subscriber`] | what a SUB socket hears: messages, of which it keeps the first and the last frame |
//! | [`peer`] | what any socket hears: messages of several frames, subscriptions |
//!
//! Rooms, lowest first: `frame`, `publisher`, `subscriber`, `peer`.

mod frame;
pub mod peer;
pub mod publisher;
pub mod subscriber;

pub use frame::{GREETING, count_messages, frame, pong};
