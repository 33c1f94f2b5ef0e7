//! The answer to a request for a file: look-up, conditions, range, head, content.

use std::sync::Arc;

use fastgate_core::files::{
    EntityTag, FileHead, Selected, Validators, Verdict, Wanted, accepted, judge, media_type, redirect_location,
    relative, select, write_file_head,
};
use fastgate_core::filter::Content;
use fastgate_core::http1::Method;
use fastgate_core::route::Captures;
use fastgate_core::snapshot::Reads;

use super::find::{Asked, Found, Lookup, Trouble, find};
use super::open::How;
use super::send::{Sending, on_thread};
use super::{Files, Permit};
use crate::about::About;
use crate::answer::{self, To, Unread, What};
use crate::clock;
use crate::connection::{After, Conn};
use crate::date;
use crate::direct;
use crate::failure::Failure;
use crate::fault::FaultKind;
use crate::guard::Findings;
use crate::head::{Head, RequestFields};
use crate::live::Route;
use crate::worker::Worker;

/// Answers with a file of the route's folder.
pub(crate) async fn serve(
    conn: &mut Conn,
    head: &mut Head,
    about: &About<'_>,
    route: &Route,
    files: &Arc<Files>,
    captures: &Captures,
) -> Result<After, Failure> {
    if !matches!(about.method, Method::Get | Method::Head) {
        return Err(Failure { allow: Some("GET, HEAD".to_owned()), ..FaultKind::MethodNotAllowed.into() });
    }
    let worker = conn.worker.clone();
    let Some(asked) = asked(&worker, head, files, captures) else { return Err(FaultKind::NoFile.into()) };
    if asked.wanted == Wanted::File && asked.path.is_empty() {
        return Ok(to_folder(conn, head, about, route).await);
    }
    let Some(permit) = worker.shared.files.take() else { return Err(FaultKind::FilesBusy.into()) };
    match look_up(conn, head, files, asked).await? {
        Lookup::File(found) => answer(conn, head, about, route, files, found, permit).await,
        Lookup::Folder => Ok(to_folder(conn, head, about, route).await),
        Lookup::Nothing => Err(FaultKind::NoFile.into()),
    }
}

/// What the request names: the part of the path behind a matched prefix, a capture called `rest`, or the whole path.
fn asked(worker: &Worker, head: &Head, files: &Files, captures: &Captures) -> Option<Asked> {
    let scratch = worker.scratch.borrow();
    let bytes = head.bytes(&scratch.read);
    let path = head.request().path(bytes);
    let remainder = match captures.prefix_len() {
        Some(len) => path.get(len..).unwrap_or_default(),
        None => captures.get("rest", path).unwrap_or(path),
    };
    let mut below = Vec::new();
    let wanted = relative(remainder, &mut below)?;
    let codings = accepted(&RequestFields(head, bytes), &files.precompressed);
    Some(Asked { wanted, path: below, codings })
}

/// On the worker if the kernel has it in memory, else on a thread that may wait.
async fn look_up(conn: &Conn, head: &mut Head, files: &Arc<Files>, asked: Asked) -> Result<Lookup, Failure> {
    let worker = &conn.worker;
    let mut found = match files.reads {
        Reads::Auto => find(files, &asked, How::Cached),
        Reads::Threads => Err(Trouble::Wait),
    };
    if matches!(found, Err(Trouble::Wait)) {
        head.detach(worker);
        let files = files.clone();
        found = on_thread(conn, files.response, move || find(&files, &asked, How::Waiting)).await?;
    }
    found.map_err(|trouble| {
        let (kind, what, error) = match trouble {
            Trouble::Root(error) => (FaultKind::NoFile, "cannot be entered", error),
            Trouble::Busy(error) => (FaultKind::FilesBusy, "no file can be opened in it", error),
            Trouble::Wait => (FaultKind::FileUnreadable, "cannot be read", rustix::io::Errno::AGAIN),
            Trouble::Unreadable(error) => (FaultKind::FileUnreadable, "cannot be read", error),
        };
        worker.log_file(&files.root.to_string_lossy(), what, &error.to_string());
        kind.into()
    })
}

/// 308 to the same path with its slash, so that relative links in the index lead into the folder.
async fn to_folder(conn: &mut Conn, head: &Head, about: &About<'_>, route: &Route) -> After {
    let location = {
        let scratch = conn.worker.scratch.borrow();
        let bytes = head.bytes(&scratch.read);
        redirect_location(head.request().path(bytes), head.request().query(bytes))
    };
    let to = To { edits: &route.response_edits, ..about.to(direct::leave_body(conn, head, about)) };
    let fields = [("Location", location.as_slice())];
    let content = Content::Bytes { content_type: None, body: &[] };
    answer::give(conn, to, What { status: 308, detail: "", fields: &fields, content }).await
}

/// What is sent of a file that was found.
enum Plan {
    Send(u16, std::ops::Range<u64>),
    NotModified,
    Failed,
    Unsatisfiable,
}

async fn answer(
    conn: &mut Conn,
    head: &Head,
    about: &About<'_>,
    route: &Route,
    files: &Files,
    found: Found,
    permit: Permit,
) -> Result<After, Failure> {
    let worker = conn.worker.clone();
    let now = clock::unix_seconds();
    let tag = EntityTag::new(found.modified, found.size, found.coding, now);
    // A time ahead of ours would be a promise (RFC 9110 §8.8.2.1).
    let modified = u64::try_from(found.modified.0).ok().map(|modified| modified.min(now));
    let plan = plan(&worker, head, about, &Validators { tag: &tag, modified, now }, found.size);
    let to = To { edits: &route.response_edits, ..about.to(direct::leave_body(conn, head, about)) };
    let (status, part) = match plan {
        Plan::Send(status, part) => (status, part),
        Plan::NotModified => (304, 0..0),
        Plan::Failed => {
            drop((found, permit));
            let what =
                What { status: 412, detail: "the file is not in that state", fields: &[], content: Content::Problem };
            return Ok(answer::give(conn, to, what).await);
        }
        Plan::Unsatisfiable => {
            let range = format!("bytes */{}", found.size);
            drop((found, permit));
            let fields = [("Content-Range", range.as_bytes())];
            let detail = "no byte of the range is in the file";
            let what = What { status: 416, detail, fields: &fields, content: Content::Problem };
            return Ok(answer::give(conn, to, what).await);
        }
    };
    let keep_alive = answer::keeps_alive(conn, &to, status);
    let block = {
        let mut scratch = worker.scratch.borrow_mut();
        let extra = about.found().map(Findings::extra);
        let written = FileHead {
            status,
            version: to.version,
            keep_alive,
            request_id: to.request_id,
            date: &date::format(now),
            modified: &modified.map(date::format).map_or_else(Vec::new, |date| date.to_vec()),
            tag: &tag,
            media_type: media_type(&found.name, |extension| files.types.get(extension).map(String::as_str)),
            coding: found.coding,
            varies: !files.precompressed.is_empty(),
            cache_control: files.cache_control.as_deref(),
            part: part.clone(),
            length: found.size,
            edits: &route.response_edits,
            extra: extra.as_deref(),
        };
        write_file_head(&mut scratch.out, &written);
        let block = worker.blocks.filled(&scratch.out);
        scratch.out.clear();
        block
    };
    about.tally.answered(status);
    about.tally.head(block.len());
    let To { head_only, unread, tally, .. } = to;
    let mut bytes = 0;
    let sent = if head_only || part.is_empty() {
        drop((found, permit));
        conn.send_all(&block, &mut bytes).await
    } else {
        // The count is given back when the file is through, however that ends.
        let _permit = permit;
        let mut sending = Sending::new(found.file, files, part);
        let sent = sending.run(conn, &block).await;
        bytes = sending.sent();
        sent
    };
    worker.blocks.give(block);
    about.tally.sent(usize::try_from(bytes).unwrap_or(usize::MAX));
    match sent {
        Ok(()) => {
            about.tally.ended();
            Ok(answer::follow(conn, unread, keep_alive, tally).await)
        }
        // The head is out: only an abrupt end can say that what follows is not everything.
        Err(kind) => Err(Failure { answered: true, unread: Some(Unread::Unknown), ..kind.into() }),
    }
}

fn plan(worker: &Worker, head: &Head, about: &About<'_>, file: &Validators<'_>, size: u64) -> Plan {
    let scratch = worker.scratch.borrow();
    let fields = RequestFields(head, head.bytes(&scratch.read));
    match judge(&fields, file) {
        Verdict::NotModified => Plan::NotModified,
        Verdict::Failed => Plan::Failed,
        // Only GET has ranges (RFC 9110 §14.2).
        Verdict::Send { ranges: true } if about.method == Method::Get => {
            let mut values = head.request().get(head.bytes(&scratch.read), b"range");
            match (values.next(), values.next()) {
                (Some(value), None) => match select(value, size) {
                    Selected::Whole => Plan::Send(200, 0..size),
                    Selected::Part(part) => Plan::Send(206, part),
                    Selected::Unsatisfiable => Plan::Unsatisfiable,
                },
                _ => Plan::Send(200, 0..size),
            }
        }
        Verdict::Send { .. } => Plan::Send(200, 0..size),
    }
}
