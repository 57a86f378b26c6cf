//! From the text that Prometheus reads to the metrics of OTLP: the same numbers, counted once.
//!
//! It reads what this host itself writes, not whatever a text may hold: a line that it does not understand is left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: since the host started, as Prometheus counts too.
const CUMULATIVE: u32 = 2;

/// Labels, in the order in which they are written.
type Labels = Vec<(String, String)>;

/// One metric of the text.
#[derive(Default)]
struct Metric<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    samples: Vec<Sample<'a>>,
}

/// One line with a number.
struct Sample<'a> {
    /// What its name has more than the metric's.
    suffix: &'a str,
    labels: Labels,
    value: &'a str,
}

/// The metrics of a text. Instants are in nanoseconds of Unix time: since when is counted, and when it was read.
pub(super) fn to_otlp(text: &str, started_ns: u64, now_ns: u64) -> Vec<Value> {
    let times = Times { started: started_ns.to_string(), now: now_ns.to_string() };
    read(text).iter().filter_map(|metric| metric.to_otlp(&times)).collect()
}

struct Times {
    started: String,
    now: String,
}

fn read(text: &str) -> Vec<Metric<'_>> {
    let mut metrics: Vec<Metric<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# ") {
            let mut words = line.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else { continue };
            if metrics.last().is_none_or(|metric| metric.name != name) {
                metrics.push(Metric { name, ..Metric::default() });
            }
            let Some(metric) = metrics.last_mut() else { continue };
            match what {
                "HELP" => metric.help = rest.trim_end_matches('.'),
                "TYPE" => metric.kind = rest,
                _ => {}
            }
        } else if let Some(metric) = metrics.last_mut()
            && let Some(rest) = line.strip_prefix(metric.name)
            && let Some(sample) = sample(rest)
        {
            metric.samples.push(sample);
        }
    }
    metrics
}

/// Reads what follows the name: `_total{a="b"} 1`.
fn sample(rest: &str) -> Option<Sample<'_>> {
    let at = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at(at);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    Some(Sample { suffix, labels, value: rest.trim().split(' ').next()? })
}

/// Reads labels up to the brace that ends them.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()? {
                    (_, 'n') => '\n',
                    (_, letter) => letter,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
    }
}

impl Metric<'_> {
    fn to_otlp(&self, times: &Times) -> Option<Value> {
        let (key, data) = match self.kind {
            "counter" => ("sum", self.sum(times)),
            "gauge" => ("gauge", json!({ "dataPoints": self.points("", times) })),
            "info" => ("gauge", json!({ "dataPoints": self.points("_info", times) })),
            "histogram" => ("histogram", self.histogram(times)),
            _ => return None,
        };
        let has_points = data["dataPoints"].as_array().is_some_and(|points| !points.is_empty());
        let mut metric = json!({ "name": self.name, "description": self.help, "unit": self.unit() });
        metric[key] = data;
        has_points.then_some(metric)
    }

    fn unit(&self) -> &'static str {
        match self.name {
            name if name.ends_with("_seconds") => "s",
            name if name.ends_with("_bytes") => "By",
            _ => "1",
        }
    }

    fn points(&self, suffix: &str, times: &Times) -> Vec<Value> {
        let samples = self.samples.iter().filter(|sample| sample.suffix == suffix);
        let point = |sample: &Sample<'_>| {
            let mut point = json!({ "attributes": attributes(&sample.labels), "timeUnixNano": times.now });
            // A whole number is told as one, whatever its size.
            if sample.value.parse::<i64>().is_ok() {
                point["asInt"] = json!(sample.value);
            } else {
                point["asDouble"] = json!(sample.value.parse::<f64>().ok()?);
            }
            Some(point)
        };
        samples.filter_map(point).collect()
    }

    fn sum(&self, times: &Times) -> Value {
        let mut points = self.points("_total", times);
        for point in &mut points {
            point["startTimeUnixNano"] = json!(times.started);
        }
        json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points })
    }

    fn histogram(&self, times: &Times) -> Value {
        let mut found: BTreeMap<Labels, Buckets> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
            let buckets = found.entry(labels).or_default();
            match (sample.suffix, bound) {
                ("_bucket", Some(bound)) => buckets.add(&bound, sample.value.parse().unwrap_or_default()),
                ("_sum", _) => buckets.sum = sample.value.parse().unwrap_or_default(),
                ("_count", _) => buckets.count = sample.value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        let point = |(labels, buckets): (&Labels, &Buckets)| {
            json!({
                "attributes": attributes(labels),
                "startTimeUnixNano": times.started,
                "timeUnixNano": times.now,
                "count": buckets.count.to_string(),
                "sum": buckets.sum,
                "bucketCounts": buckets.counts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "explicitBounds": buckets.bounds,
            })
        };
        let points: Vec<_> = found.iter().map(point).collect();
        json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points })
    }
}

/// A histogram: Prometheus counts up to each bound all that is below, OTLP what lies between two.
#[derive(Default)]
struct Buckets {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    below: u64,
    sum: f64,
    count: u64,
}

impl Buckets {
    fn add(&mut self, bound: &str, below: u64) {
        self.counts.push(below.saturating_sub(self.below));
        self.below = below;
        // The last has none.
        if let Ok(bound) = bound.parse::<f64>()
            && bound.is_finite()
        {
            self.bounds.push(bound);
        }
    }
}

fn attributes(labels: &Labels) -> Vec<Value> {
    labels.iter().map(|(name, value)| text(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::text as prometheus,
        metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
        registry::Registry,
    };

    use super::*;

    fn of<'a>(metrics: &'a [Value], name: &str) -> &'a Value {
        metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
    }

    #[test]
    fn what_prometheus_reads_is_told_as_otlp_has_it() {
        let mut registry = Registry::with_prefix("windlass");
        registry.register("build", "The version", Info::new(vec![("version", "1")]));
        let runs = Family::<Vec<(String, String)>, Counter>::default();
        runs.get_or_create(&vec![("handler".to_owned(), "a\"b\\c, d".to_owned())]).inc_by(3);
        registry.register("runs", "Runs", runs);
        let busy: Gauge = Gauge::default();
        busy.set(-2);
        registry.register("busy", "Busy", busy);
        let took = Histogram::new([0.5, 1.0]);
        [0.25, 0.75, 0.75, 9.0].iter().for_each(|seconds| took.observe(*seconds));
        registry.register("took_seconds", "Took", took);
        let mut text = String::new();
        prometheus::encode(&mut text, &registry).unwrap();
        let metrics = to_otlp(&text, 1, 2);
        assert_eq!(of(&metrics, "windlass_build")["gauge"]["dataPoints"][0]["asInt"], "1");
        let runs = of(&metrics, "windlass_runs");
        assert_eq!((&runs["description"], &runs["unit"]), (&json!("Runs"), &json!("1")));
        let point = &runs["sum"]["dataPoints"][0];
        assert_eq!(
            (&point["asInt"], &point["startTimeUnixNano"], &point["timeUnixNano"]),
            (&json!("3"), &json!("1"), &json!("2"))
        );
        assert_eq!(
            point["attributes"],
            json!([{ "key": "handler", "value": { "stringValue": "a\"b\\c, d" } }]),
            "{text}"
        );
        assert_eq!(of(&metrics, "windlass_busy")["gauge"]["dataPoints"][0]["asInt"], "-2");
        let took = of(&metrics, "windlass_took_seconds");
        assert_eq!(took["unit"], "s");
        let point = &took["histogram"]["dataPoints"][0];
        assert_eq!((&point["count"], &point["sum"]), (&json!("4"), &json!(10.75)));
        assert_eq!((&point["bucketCounts"], &point["explicitBounds"]), (&json!(["1", "2", "1"]), &json!([0.5, 1.0])));
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        for text in
            ["", "# EOF", "x 1", "# TYPE a counter\na_total{b=\"c 1", "# TYPE a gauge\na nothing\n", "# HELP a b"]
        {
            assert_eq!(to_otlp(text, 1, 2), Vec::<Value>::new(), "{text}");
        }
    }
}
