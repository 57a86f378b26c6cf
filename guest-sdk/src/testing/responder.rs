//! HTTP in tests. A request carries no context, so the answer is found by thread: that of its newest test context.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::http::{Error, Request, Response};

type Answer = Rc<dyn Fn(&Request) -> Result<Response, Error>>;

thread_local! {
    static ANSWERS: RefCell<Vec<(u64, Answer)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Answers the requests of this thread for as long as it lives.
#[derive(Debug)]
pub(crate) struct Responder(u64);

impl Responder {
    pub(crate) fn new(answer: impl Fn(&Request) -> Result<Response, Error> + 'static) -> Self {
        let number = NEXT.replace(NEXT.get() + 1);
        ANSWERS.with_borrow_mut(|answers| answers.push((number, Rc::new(answer))));
        Self(number)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        ANSWERS.with_borrow_mut(|answers| answers.retain(|(number, _)| *number != self.0));
    }
}

/// The answer of the newest test context of this thread that has one.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn respond(request: &Request) -> Result<Response, Error> {
    let newest = ANSWERS.with_borrow(|answers| answers.last().map(|(_, answer)| Rc::clone(answer)));
    newest.map_or(Err(Error::Unsupported), |answer| answer(request))
}
