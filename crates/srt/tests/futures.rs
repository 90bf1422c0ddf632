//! Sockets and listeners for tasks, over loopback, under tokio.

mod common;

use common::{HANG, message, options};
use srt::{
    ConnectionError, Error, Message, MessageBatch,
    aio::{SrtListener, SrtSocket},
};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};

async fn pair() -> (SrtSocket, SrtSocket) {
    let listener = SrtListener::bind("127.0.0.1:0", &options()).expect("a port on loopback");
    let caller = SrtSocket::connect(listener.local_addr(), &options()).await.expect("a connection");
    let (accepted, _) = within(listener.accept()).await.expect("the caller");
    (caller, accepted)
}

/// Waits for what must come; only a hang takes as long.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("waited in vain")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_order_in_both_directions_at_once() {
    let (caller, accepted) = pair().await;
    let mut tasks = JoinSet::new();
    for (from, to) in [(caller.clone(), accepted.clone()), (accepted, caller)] {
        tasks.spawn(async move {
            for number in 0..1_000 {
                from.send(&message(number)).await.expect("room");
            }
            from
        });
        tasks.spawn(async move {
            let mut buffer = [0; 1_456];
            for number in 0..1_000 {
                let len = to.recv(&mut buffer).await.expect("a message");
                assert_eq!(buffer[..len], message(number));
            }
            to
        });
    }
    let sockets = within(tasks.join_all()).await;
    assert_eq!(sockets.len(), 4);
}

#[tokio::test]
async fn batches_carry_what_single_calls_carry() {
    let (caller, accepted) = pair().await;
    let send = async {
        let messages: Vec<_> = (0..2_000).map(message).collect();
        let views: Vec<_> = messages.iter().map(Vec::as_slice).collect();
        let mut sent = 0;
        while sent < views.len() {
            sent += caller.send_batch(&views[sent..]).await.expect("room");
        }
    };
    let receive = async {
        let (mut batch, mut next) = (MessageBatch::new(), 0);
        while next < 2_000 {
            accepted.recv_batch(&mut batch).await.expect("messages");
            for (_, data) in &batch {
                assert_eq!(data, message(next));
                next += 1;
            }
        }
    };
    within(async { tokio::join!(send, receive) }).await;
}

#[tokio::test]
async fn a_name_is_looked_up_and_all_its_addresses_are_tried() {
    let listener = SrtListener::bind("127.0.0.1:0", &options()).expect("a port on loopback");
    let quick = options().connect_timeout(Duration::from_millis(500));
    let to = format!("localhost:{}", listener.local_addr().port());
    let socket = within(SrtSocket::connect(&to, &quick)).await.expect("one address answers");
    assert_eq!(socket.as_blocking().peer_addr(), listener.local_addr());
    let error =
        within(SrtSocket::connect("no-such-host.invalid:9000", &quick)).await.expect_err("no such host");
    assert!(matches!(error, Error::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_call_that_nobody_answers_times_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let quick = options().connect_timeout(Duration::from_millis(100));
    let to = silent.local_addr().expect("bound");
    let error = within(SrtSocket::connect(to, &quick)).await.expect_err("nobody answers");
    assert_eq!(error.connection_error(), Some(ConnectionError::Timeout));
}

#[tokio::test]
async fn a_receive_that_was_cancelled_has_taken_nothing() {
    let (caller, accepted) = pair().await;
    let mut buffer = [0; 1_456];
    for number in 0..20 {
        let cancelled = timeout(Duration::from_millis(2), accepted.recv(&mut buffer)).await;
        assert!(cancelled.is_err(), "nothing was sent yet");
        caller.send(&message(number)).await.expect("room");
        let len = within(accepted.recv(&mut buffer)).await.expect("a message");
        assert_eq!(buffer[..len], message(number));
    }
}

#[tokio::test]
async fn every_task_that_waits_is_woken() {
    let (caller, accepted) = pair().await;
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let accepted = accepted.clone();
        readers.spawn(async move { accepted.recv(&mut [0; 1_456]).await.expect("a message for each") });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..8 {
        caller.send(b"one each").await.expect("room");
    }
    assert_eq!(within(readers.join_all()).await, [8; 8]);
}

#[tokio::test]
async fn close_interrupts_every_task_that_waits() {
    let (caller, accepted) = pair().await;
    let listener = SrtListener::bind("127.0.0.1:0", &options()).expect("a port on loopback");
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let (accepted, listener) = (accepted.clone(), listener.clone());
        tasks.spawn(async move { accepted.recv(&mut [0; 9]).await.map(drop) });
        tasks.spawn(async move { listener.accept().await.map(drop) });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    within(accepted.close()).await.expect("it ends");
    listener.close();
    for result in within(tasks.join_all()).await {
        assert!(
            matches!(result, Err(Error::Closed(ConnectionError::Closed) | Error::ListenerClosed)),
            "{result:?}"
        );
    }
    let error = within(caller.recv(&mut [0; 9])).await.expect_err("the end");
    assert!(error.is_end_of_stream());
}

#[tokio::test]
async fn readable_and_writable_wait_and_take_nothing() {
    let (caller, accepted) = pair().await;
    within(caller.writable()).await.expect("connected, and there is room");
    let wait = tokio::spawn({
        let accepted = accepted.clone();
        async move { accepted.readable().await }
    });
    caller.send(b"x").await.expect("room");
    within(wait).await.expect("no panic").expect("a message is there");
    assert_eq!(within(accepted.recv(&mut [0; 9])).await.expect("it still is"), 1);
}

/// Counts how often it is woken.
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn poll_calls_keep_the_last_waker_of_each_copy() {
    let (caller, accepted) = pair().await;
    let counts: Vec<_> = (0..3).map(|_| Arc::new(Count(AtomicU32::new(0)))).collect();
    let poll = |socket: &SrtSocket, count: &Arc<Count>| {
        let waker = Waker::from(Arc::clone(count));
        socket.poll_recv(&mut Context::from_waker(&waker), &mut [0; 9])
    };
    let copy = accepted.clone();
    assert!(poll(&accepted, &counts[0]).is_pending());
    assert!(poll(&accepted, &counts[1]).is_pending(), "takes the place of the first");
    assert!(poll(&copy, &counts[2]).is_pending());
    caller.send(b"x").await.expect("room");
    within(accepted.readable()).await.expect("a message");
    let woken = || counts.iter().map(|count| count.0.load(Ordering::SeqCst)).collect::<Vec<_>>();
    while woken() != [0, 1, 1] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(poll(&accepted, &counts[0]), Poll::Ready(Ok(received)) if received.len == 1));
    let sent = within(poll_fn(|context| caller.poll_send(context, &Message::new(b"y")))).await.expect("room");
    assert_eq!(sent.msgno.value(), 2);
}

#[tokio::test]
async fn a_socket_changes_faces_without_being_closed() {
    let (caller, accepted) = pair().await;
    let blocking = caller.into_blocking();
    tokio::task::spawn_blocking(move || {
        blocking.send(b"from a thread").expect("room");
        blocking
    })
    .await
    .expect("no panic");
    let len = within(accepted.recv(&mut [0; 99])).await.expect("a message");
    assert_eq!(len, 13);
}
