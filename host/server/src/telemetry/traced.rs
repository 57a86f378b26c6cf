//! One part of a trace.

use std::str::FromStr as _;

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        Tracer as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// A part of a trace that goes on until this is dropped.
pub(crate) struct Traced(Span);

impl Traced {
    pub(super) fn begin(
        tracer: &SdkTracer,
        name: String,
        kind: SpanKind,
        parent: Option<(&str, Option<&str>)>,
    ) -> Self {
        let parent = parent.and_then(|(parent, state)| read(parent, state));
        let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = tracer.span_builder(name).with_kind(kind);
        Self(tracer.build_with_context(span, &context))
    }

    /// What names it to what belongs to it: a `traceparent`.
    pub(crate) fn parent(&self) -> String {
        let context = self.0.span_context();
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
    }

    /// Says something of it.
    pub(crate) fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// It did not end well.
    pub(crate) fn fail(&mut self, why: String) {
        self.0.set_status(Status::error(why));
    }
}

/// What a `traceparent` and a `tracestate` say; the first has been checked where it came in.
fn read(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let mut parts = parent.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let context = SpanContext::new(trace, span, flags, true, state);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_part_belongs_to_the_trace_of_its_parent_and_has_a_name_of_its_own() {
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let begin = |parent| Traced::begin(&tracer, "x".to_owned(), SpanKind::Server, parent).parent();
        let child = begin(Some((PARENT, None)));
        assert_eq!(child[..36], PARENT[..36]);
        assert_ne!(child[36..52], PARENT[36..52]);
        let unsampled = PARENT.replace("-01", "-00");
        assert!(begin(Some((&unsampled, None))).ends_with("-00"));
        for none in [None, Some(("no parent", None))] {
            let root = begin(none);
            assert!(crate::http::trace::is_parent(&root) && root[..36] != PARENT[..36], "{root}");
        }
    }
}
