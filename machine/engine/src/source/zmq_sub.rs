//! A `ZeroMQ` SUB socket.
//!
//! It is read only while the machine takes messages: what waits meanwhile waits in the system's buffers and then
//! with the publisher, up to its high-water mark.

use super::Origin;
use super::intake::{Intake, Stop};
use crate::command_error::failed;
use crate::decode::frames::{self, Read};
use crate::runtime;
use futures_util::{FutureExt, StreamExt};
use machine::command::Failure;
use machine::source::ZmqSub;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeromq::{Socket, SocketEvent, SocketOptions, SocketRecv, SubSocket, ZmqError, ZmqMessage};

/// How long it waits after an endpoint that cannot be connected to.
const RETRY: Duration = Duration::from_millis(200);
/// How long it tries before it says that nobody is there, and goes on.
const ATTEMPT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Subscriber {
    sub: ZmqSub,
    read: Read,
    /// Messages so far, for naming the ones that are none.
    number: u64,
}

/// What an endpoint lacks.
fn check(endpoint: &str) -> Result<(), &'static str> {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return if path.is_empty() { Err("there is no path") } else { Ok(()) };
    }
    let address = endpoint.strip_prefix("tcp://").ok_or("it begins with neither tcp:// nor ipc://")?;
    // Without brackets, what is behind the last colon of an address of version 6 is no port.
    let (host, port) = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        .ok_or(if address.is_empty() { "there is no address" } else { "there is no port" })?;
    if host.is_empty() {
        return Err("there is no host");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port is no number from 1 to 65535"),
    }
}

impl Subscriber {
    /// # Errors
    /// If the endpoint is none, or there are no threads for sockets.
    pub fn new(sub: ZmqSub) -> Result<Self, Failure> {
        runtime::handle()?;
        if let Err(why) = check(&sub.endpoint) {
            let examples = "tcp://127.0.0.1:5555 and ipc:///path/of/a/socket are";
            return Err(failed("bad_endpoint", format!("{:?} is no endpoint: {why}; {examples}", sub.endpoint)));
        }
        let read = match (sub.text, sub.slot) {
            (true, _) => Read::Text,
            (false, Some(slot)) => Read::Slot(slot),
            (false, None) => Read::Json,
        };
        Ok(Self { sub, read, number: 0 })
    }

    async fn subscribe(&mut self, intake: &mut Intake<'_>) -> Result<(), Stop> {
        let mut options = SocketOptions::default();
        options.connect_timeout(ATTEMPT);
        let mut socket = SubSocket::with_options(options);
        let mut events = socket.monitor();
        socket.subscribe(&self.sub.topic).await.map_err(|error| Stop::Failed(error.to_string()))?;
        self.connect(&mut socket, intake).await?;
        let mut connected = 0_u64;
        loop {
            let message = tokio::select! {
                biased;
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                Some(event) = events.next() => {
                    note(&event, &mut connected, intake);
                    continue;
                }
                message = socket.recv() => message,
            };
            self.put(message, intake).await?;
            // What is there already, without looking at all else for each of them.
            while let Some(message) = socket.recv().now_or_never() {
                self.put(message, intake).await?;
            }
        }
    }

    async fn connect(&self, socket: &mut SubSocket, intake: &Intake<'_>) -> Result<(), Stop> {
        intake.feed.set_state("connecting");
        loop {
            let connected = tokio::select! {
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                connected = socket.connect(&self.sub.endpoint) => connected,
            };
            match connected {
                Ok(()) => return Ok(()),
                Err(ZmqError::Endpoint(error)) => return Err(Stop::Failed(format!("{}: {error}", self.sub.endpoint))),
                Err(error) => intake.feed.set_note(format!("not connected: {error}")),
            }
            tokio::select! {
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn put(&mut self, message: Result<ZmqMessage, ZmqError>, intake: &mut Intake<'_>) -> Result<(), Stop> {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                // The connection is gone, and made again by the socket itself.
                intake.feed.set_note(format!("connection lost: {error}"));
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Ok(());
            }
        };
        self.number += 1;
        match frames::message(message.iter().map(|frame| &frame[..]), self.read) {
            // Waits, in this thread: nothing else is to be done here meanwhile, and no thread of the sockets'.
            Ok(json) => intake.json(json),
            Err(why) => {
                let last = message.iter().last().map(|frame| &frame[..]);
                intake.bad(&format!("message {}", self.number), &why, last.unwrap_or_default());
                Ok(())
            }
        }
    }
}

fn note(event: &SocketEvent, connected: &mut u64, intake: &Intake<'_>) {
    match event {
        SocketEvent::Connected(..) => {
            if *connected > 0 {
                intake.feed.reconnects.fetch_add(1, Ordering::Relaxed);
            }
            *connected += 1;
            intake.feed.set_state("running");
        }
        SocketEvent::Disconnected(_) => {
            intake.feed.set_state("connecting");
            intake.feed.set_note("the connection was lost");
        }
        _ => {}
    }
}

impl Origin for Subscriber {
    fn run(&mut self, intake: &mut Intake<'_>) -> Result<(), Stop> {
        let runtime = runtime::handle().map_err(|failure| Stop::Failed(failure.message))?;
        runtime.block_on(self.subscribe(intake))
    }
}
