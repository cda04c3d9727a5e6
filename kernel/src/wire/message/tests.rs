use super::*;
use proptest::prelude::*;
use serde_json::json;

fn signed(key: &Key, parts: [&str; 4]) -> Vec<Bytes> {
    let [header, parent, metadata, content] = parts.map(str::as_bytes);
    let signature = key.sign([header, parent, metadata, content]);
    let mut frames = vec![Bytes::from_static(b"peer"), Bytes::from_static(DELIMITER), Bytes::from(signature)];
    frames.extend([header, parent, metadata, content].map(Bytes::copy_from_slice));
    frames
}

const HEADER: &str = r#"{"msg_id":"1","msg_type":"kernel_info_request","later":[1, 2]}"#;

#[test]
fn what_is_encoded_can_be_decoded() {
    let session = Session::new(Key::new(b"key"));
    let outgoing =
        Outgoing { msg_type: "status", parent: HEADER.as_bytes(), metadata: Map::new(), content: json!({"a": 1}) };
    let frames = session.encode(&[Bytes::from_static(b"peer")], outgoing);
    assert_eq!(frames[4], HEADER.as_bytes(), "the parent is the request's header, byte by byte");
    let message = session.accept(frames).unwrap();
    assert_eq!(message.identities, [Bytes::from_static(b"peer")]);
    assert_eq!(message.header.msg_type, "status");
    assert_eq!(message.content.get(), r#"{"a":1}"#);
}

#[test]
fn unknown_header_fields_survive_and_buffers_do_no_harm() {
    let key = Key::new(b"key");
    let mut frames = signed(&key, [HEADER, "{}", "{}", "{}"]);
    frames.push(Bytes::from_static(b"\x00\xff"));
    let message = Incoming::decode(frames, &key).unwrap();
    assert_eq!(message.raw_header, HEADER.as_bytes());
    assert_eq!(message.content.get(), "{}");
}

#[test]
fn bad_frames_are_told_apart() {
    let key = Key::new(b"key");
    let good = signed(&key, [HEADER, "{}", "{}", "{}"]);
    let mut tampered = good.clone();
    tampered[6] = Bytes::from_static(b"{ }");
    for (frames, expected) in [
        (vec![], "0 frames without the delimiter <IDS|MSG>"),
        (good[..1].to_vec(), "1 frames without the delimiter <IDS|MSG>"),
        (
            good[..6].to_vec(),
            "4 frames after the delimiter; expected at least 5: signature, header, parent, metadata, content",
        ),
        (tampered, "wrong signature"),
        (signed(&Key::new(b"other"), [HEADER, "{}", "{}", "{}"]), "wrong signature"),
        (signed(&key, ["{}", "{}", "{}", "{}"]), "the header is not a JSON object of the right shape"),
        (signed(&key, ["\u{1}", "{}", "{}", "{}"]), "the header is not a JSON object of the right shape"),
        (signed(&key, [HEADER, "{}", "[]", "{}"]), "the metadata is not a JSON object of the right shape"),
        (signed(&key, [HEADER, "{}", "{}", "1"]), "the content is not a JSON object of the right shape"),
    ] {
        assert_eq!(Incoming::decode(frames, &key).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_signed_message_is_accepted_once() {
    let key = Key::new(b"key");
    let session = Session::new(key.clone());
    let frames = signed(&key, [HEADER, "{}", "{}", "{}"]);
    let refused = |frames| session.accept(frames).unwrap_err().to_string();
    assert!(session.accept(frames.clone()).is_ok());
    // As it was, with other digits of the same number, from another peer, with buffers.
    let mut upper = frames.clone();
    upper[2] = Bytes::from(String::from_utf8_lossy(&frames[2]).to_uppercase());
    let others =
        [vec![Bytes::from_static(b"other")], frames[1..].to_vec(), vec![Bytes::from_static(b"buffer")]].concat();
    for replayed in [frames, upper, others] {
        assert_eq!(refused(replayed), "a message with this signature was received before; it is not run again");
    }
    let unsigned = Session::new(Key::new(b""));
    for _ in 0..2 {
        assert!(unsigned.accept(signed(&Key::new(b""), [HEADER, "{}", "{}", "{}"])).is_ok());
    }
}

proptest! {
    #[test]
    fn random_frames_never_panic(frames in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(DELIMITER.to_vec()),
            Just(b"{}".to_vec()),
            Just(HEADER.as_bytes().to_vec()),
        ], 0..10), signs in any::<bool>()) {
        let key = Key::new(if signs { b"key" } else { b"" });
        let decoded = Incoming::decode(frames.into_iter().map(Bytes::from).collect(), &key);
        prop_assert!(!signs || decoded.is_err());
    }
}
