//! Uploading a component, with how far it is. The browser tells that only for its older kind of request.

use std::{cell::RefCell, rc::Rc};

use futures::channel::oneshot;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, ProgressEvent, XmlHttpRequest};
use windlass_api::{Deployed, Problem, ProblemCode};

use super::api::{self, Answer, Api};
use crate::{query, trouble::Trouble};

/// No signature is as long; what is longer is another file, which is not read.
const LONGEST_SIGNATURE: f64 = 8_192.0;

/// Deploys a file, with the one of its signature; with `force` new jobs go to it whatever breaks. `sent` is told the share that has
/// been sent, 0 to 1.
pub(super) async fn deploy(
    api: Api,
    file: &File,
    signature: Option<&File>,
    activate: bool,
    force: bool,
    sent: WriteSignal<f64>,
) -> Answer<Deployed> {
    let word = |is: bool| if is { "true" } else { "false" };
    let query = query::write([("activate", word(activate)), ("force", word(force))]);
    let signature = match signature {
        Some(file) => Some(in_base64(file).await.ok_or_else(|| no_signature(file))?),
        None => None,
    };
    let url = api::url(&format!("modules?{query}"));
    let (status, text) = send(&url, file, signature.as_deref(), sent).await.ok_or(Trouble::Unreachable)?;
    if status == 0 {
        api.noticed(false);
        return Err(Trouble::Unreachable);
    }
    api.read(status, &text)
}

/// The text of a signature's file as the API takes it.
async fn in_base64(file: &File) -> Option<String> {
    if file.size() > LONGEST_SIGNATURE {
        return None;
    }
    let text = JsFuture::from(file.text()).await.ok()?.as_string()?;
    // The browser's own function takes a character for each byte.
    let bytes: String = text.bytes().map(char::from).collect();
    window().btoa(&bytes).ok()
}

fn no_signature(file: &File) -> Trouble {
    let detail = format!("{} is no signature as minisign writes it", file.name());
    Trouble::Problem(Problem::new(ProblemCode::InvalidField, detail))
}

async fn send(url: &str, file: &File, signature: Option<&str>, sent: WriteSignal<f64>) -> Option<(u16, String)> {
    let request = XmlHttpRequest::new().ok()?;
    request.open("POST", url).ok()?;
    request.set_request_header("content-type", "application/wasm").ok()?;
    if let Some(signature) = signature {
        request.set_request_header("windlass-signature", signature).ok()?;
    }
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
