//! One value, once, from one task or thread to another.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// The sending end.
#[derive(Debug)]
pub(crate) struct Reply<T>(oneshot::Sender<T>);

/// The receiving end: `None` when the other was dropped.
#[derive(Debug)]
pub(crate) struct Answer<T>(oneshot::Receiver<T>);

/// A pair of them.
pub(crate) fn oneshot<T>() -> (Reply<T>, Answer<T>) {
    let (send, receive) = oneshot::channel();
    (Reply(send), Answer(receive))
}

impl<T> Reply<T> {
    /// Sends it; one that nobody waits for is dropped.
    pub(crate) fn send(self, value: T) {
        drop(self.0.send(value));
    }

    /// The work's outcome is sent; when nobody waits for it any more, the work ends.
    pub(crate) async fn with(mut self, work: impl Future<Output = T>) {
        let mut work = pin!(work);
        let done = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.0.poll_closed(cx).map(|()| None),
        });
        if let Some(value) = done.await {
            self.send(value);
        }
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}
