//! A cluster: one connection to each of its servers.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use fastgate_core::resp::Server;

use super::link;
use super::thread::Context;
use crate::redis::Trouble;
use crate::rt::{self, Task};

/// Between two looks at the map; servers that move slots make many connections ask for one.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps to the map of the cluster for as long as it is not dropped.
pub(super) async fn keep(cx: Rc<Context>) {
    let mut links: HashMap<usize, Task> = HashMap::new();
    let mut first = true;
    loop {
        match look(&cx).await {
            Ok(map) => {
                let (fresh, gone) = cx.desk.follow(&cx.shared, &map);
                for lane in gone {
                    links.remove(&lane);
                }
                for lane in fresh {
                    links.insert(lane, rt::task(link::keep(cx.clone(), lane)));
                }
                for one in cx.redirected.take() {
                    cx.desk.again(&cx.shared, one);
                }
                first = false;
            }
            Err(trouble) if first => cx.note_down(&cx.desk.settings.server, &trouble),
            Err(_) => {}
        }
        rt::sleep(PAUSE).await;
        if !first {
            cx.wants_map.receive().await;
        }
    }
}

/// Asks the servers that are connected, and then the one of the config, for the map.
async fn look(cx: &Rc<Context>) -> Result<Vec<(u16, u16, Server)>, Trouble> {
    let mut last = Trouble::Ended;
    for server in cx.desk.connected().into_iter().take(3).chain([cx.desk.settings.server.clone()]) {
        match link::ask_map(cx, &server).await {
            Ok(map) => return Ok(map),
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}
