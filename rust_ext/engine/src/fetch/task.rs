//! The client's task on the background thread.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Client, Fetcher, Note, Notes};
use crate::log::Log;
use crate::rt;

/// Between two looks at idle connections.
const SWEEP: Duration = Duration::from_secs(5);

/// Makes the calls of every thread until its runtime ends.
pub(crate) fn serve(fetcher: &Fetcher, log: Log, servers: Vec<SocketAddr>) -> impl Future<Output = ()> + use<> {
    serve_notes(fetcher.notes(), Rc::new(Client::new(servers, log)))
}

/// The same with a client that is there.
pub(crate) async fn serve_notes(notes: Arc<Notes>, client: Rc<Client>) {
    loop {
        let come = rt::timeout(SWEEP, notes.inbox.receive()).await.unwrap_or_default();
        client.sweep();
        for note in come {
            match note {
                Note::Call(call, reply, permit) => {
                    let client = client.clone();
                    rt::spawn(async move {
                        reply.with(client.call(&call)).await;
                        drop(permit);
                    });
                }
                Note::Job(job) => job(client.clone()),
            }
        }
    }
}
