//! Uploading a component, with how far it is. The browser tells that only for its older kind of request.

use std::{cell::RefCell, rc::Rc};

use futures::channel::oneshot;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{File, ProgressEvent, XmlHttpRequest};
use windlass_api::Deployed;

use super::api::{self, Answer, Api};
use crate::{query, trouble::Trouble};

/// Deploys a file; with `force` new jobs go to it whatever breaks. `sent` is told the share that has been sent, 0 to 1.
pub(super) async fn deploy(
    api: Api,
    file: &File,
    activate: bool,
    force: bool,
    sent: WriteSignal<f64>,
) -> Answer<Deployed> {
    let word = |is: bool| if is { "true" } else { "false" };
    let query = query::write([("activate", word(activate)), ("force", word(force))]);
    let (status, text) = send(&api::url(&format!("modules?{query}")), file, sent).await.ok_or(Trouble::Unreachable)?;
    if status == 0 {
        api.noticed(false);
        return Err(Trouble::Unreachable);
    }
    api.read(status, &text)
}

async fn send(url: &str, file: &File, sent: WriteSignal<f64>) -> Option<(u16, String)> {
    let request = XmlHttpRequest::new().ok()?;
    request.open("POST", url).ok()?;
    request.set_request_header("content-type", "application/wasm").ok()?;
    let progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
        if event.length_computable() && event.total() > 0.0 {
            let _ = sent.try_set(event.loaded() / event.total());
        }
    });
    request.upload().ok()?.set_onprogress(Some(progress.as_ref().unchecked_ref()));
    let (done, over) = oneshot::channel();
    let done = Rc::new(RefCell::new(Some(done)));
    let end = Closure::<dyn Fn()>::new(move || {
        if let Some(done) = done.borrow_mut().take() {
            // Nobody waits any more where the page was left.
            let _ = done.send(());
        }
    });
    request.set_onloadend(Some(end.as_ref().unchecked_ref()));
    request.send_with_opt_blob(Some(file)).ok()?;
    over.await.ok()?;
    Some((request.status().unwrap_or_default(), request.response_text().ok().flatten().unwrap_or_default()))
}
