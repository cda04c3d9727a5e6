//! Frames, greeting and commands that every side of ZMTP shares.

/// The first 64 bytes that each side sends: signature, version 3.1, mechanism NULL, not a server.
pub const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12] = b'N';
    greeting[13] = b'U';
    greeting[14] = b'L';
    greeting[15] = b'L';
    greeting
};

pub(crate) const MORE: u8 = 1;
pub(crate) const LONG: u8 = 2;
pub(crate) const COMMAND: u8 = 4;

/// The longest frame that a subscriber may send: subscriptions and commands are short.
pub(crate) const LONGEST: u64 = 64 << 10;

/// How far a conversation with a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Greeting,
    Handshake,
    Traffic,
}

/// Appends a frame of a message.
#[inline]
pub fn frame(to: &mut Vec<u8>, body: &[u8], more: bool) {
    let more = if more { MORE } else { 0 };
    match u8::try_from(body.len()) {
        Ok(length) => to.extend_from_slice(&[more, length]),
        Err(_) => {
            to.push(more | LONG);
            to.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    to.extend_from_slice(body);
}

/// The answer to a PING: its context comes back.
#[must_use]
pub fn pong(context: &[u8]) -> Vec<u8> {
    let mut pong = vec![COMMAND, 0];
    pong.extend_from_slice(b"\x04PONG");
    // RFC 37: at most 16 bytes.
    pong.extend_from_slice(context.get(..16).unwrap_or(context));
    let length = u8::try_from(pong.len() - 2).unwrap_or_default();
    if let Some(at) = pong.get_mut(1) {
        *at = length;
    }
    pong
}

/// How many whole messages are in the first `written` bytes of what [`frame`] has made, and in all of it.
#[must_use]
pub fn count_messages(bytes: &[u8], written: usize) -> (u64, u64) {
    let (mut at, mut whole, mut all) = (0, 0, 0);
    while let Some((flags, start, length)) = header(bytes.get(at..).unwrap_or_default()) {
        at = at.saturating_add(start).saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if flags & (MORE | COMMAND) == 0 {
            all += 1;
            whole += u64::from(at <= written);
        }
    }
    (whole, all)
}

/// Flags, where the body begins, and how long it is.
pub(crate) fn header(bytes: &[u8]) -> Option<(u8, usize, u64)> {
    let flags = *bytes.first()?;
    if flags & LONG == 0 {
        return Some((flags, 2, u64::from(*bytes.get(1)?)));
    }
    let length = bytes.get(1..9)?.try_into().ok()?;
    Some((flags, 9, u64::from_be_bytes(length)))
}

/// Whether a whole greeting of a peer is there that we understand.
pub(crate) fn greets(bytes: &[u8]) -> Result<bool, &'static str> {
    let differs = |at: usize, byte: u8| bytes.get(at).is_some_and(|given| *given != byte);
    if differs(0, 0xff) || differs(9, 0x7f) {
        return Err("no greeting of ZeroMQ");
    }
    if bytes.get(10).is_some_and(|version| *version < 3) {
        return Err("a version of ZeroMQ's protocol before 3");
    }
    let Some(mechanism) = bytes.get(12..32).filter(|_| bytes.len() >= GREETING.len()) else { return Ok(false) };
    if mechanism.strip_prefix(b"NULL").is_none_or(|rest| rest.iter().any(|byte| *byte != 0)) {
        return Err("a mechanism of security that this socket does not have: it has NULL");
    }
    Ok(true)
}

/// Names and values of a READY command.
pub(crate) fn properties(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (value, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = after;
        Some((name, value))
    })
}
