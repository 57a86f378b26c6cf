//! What a job continues and what continues it, as far as that was read: a graph, and where each job of it is drawn. It is
//! bounded, so that a job with a hundred thousand children is shown as well as one with two.

use std::collections::BTreeMap;

use windlass_api::{ContinueOn, HandlerPath, JobId, Relations, Relative, State};

use crate::order::sorted;

/// No more jobs are shown; whoever wants to see others opens the flow of one of these.
pub const MOST_JOBS: usize = 100;

/// How wide a job is drawn, and how far it is from the next one in its line, in pixels.
pub const JOB_WIDTH: f64 = 210.0;
/// How high a job is drawn.
pub const JOB_HEIGHT: f64 = 44.0;
const GAP_ACROSS: f64 = 56.0;
const GAP_DOWN: f64 = 14.0;
const EDGE: f64 = 4.0;

/// A job of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its handler; absent where it has been removed, or is not known yet.
    pub handler: Option<HandlerPath>,
    /// Its state; absent as its handler.
    pub state: Option<State>,
    /// When its relations were read last, counted by reads; absent before the first.
    read_at: Option<u64>,
    /// Whether it has children that are not shown.
    pub has_more: bool,
}

/// How one job continues another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How the parent must have ended.
    pub on: ContinueOn,
    /// Whether the child no longer waits for it.
    pub met: bool,
}

/// What is known of the jobs around one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The job that it was asked for.
    pub root: JobId,
    nodes: BTreeMap<JobId, Node>,
    /// By parent and child.
    links: BTreeMap<(JobId, JobId), Link>,
    /// In the order in which they became known, which is by their distance.
    order: Vec<JobId>,
    reads: u64,
    /// Whether jobs were left out.
    pub is_cut: bool,
}

/// A job where it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Which.
    pub id: JobId,
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
}

/// A link where it is drawn, from the right edge of the parent to the left edge of the child.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How the child continues.
    pub link: Link,
    /// From there to there.
    pub from: (f64, f64),
    /// The end.
    pub to: (f64, f64),
}

/// The graph as it is drawn: parents to the left of their children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// The jobs, column by column, each from the top.
    pub jobs: Vec<Placed>,
    /// The links.
    pub lines: Vec<Line>,
    /// How wide all of it is.
    pub width: f64,
    /// How high.
    pub height: f64,
}

/// Where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To a parent.
    Left,
    /// To a child.
    Right,
    /// To the job above.
    Up,
    /// To the job below.
    Down,
}

impl Graph {
    /// A graph of which only one job is known so far.
    #[must_use]
    pub fn of(root: JobId) -> Self {
        let mut graph =
            Self { root, nodes: BTreeMap::new(), links: BTreeMap::new(), order: Vec::new(), reads: 0, is_cut: false };
        graph.know(root);
        graph
    }

    /// A job of it.
    #[must_use]
    pub fn node(&self, id: JobId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The jobs, those near the root first.
    pub fn jobs(&self) -> impl Iterator<Item = (JobId, &Node)> {
        self.order.iter().filter_map(|id| Some((*id, self.nodes.get(id)?)))
    }

    /// The parents of a job that are shown, with how it continues them.
    pub fn parents(&self, id: JobId) -> impl Iterator<Item = (JobId, Link)> {
        self.links.iter().filter(move |((_, child), _)| *child == id).map(|((parent, _), link)| (*parent, *link))
    }

    /// The children of a job that are shown, with how they continue it.
    pub fn children(&self, id: JobId) -> impl Iterator<Item = (JobId, Link)> {
        self.links.iter().filter(move |((parent, _), _)| *parent == id).map(|((_, child), link)| (*child, *link))
    }

    /// Whose relations are to be read next: those that nobody has read, the nearest first, then those that were read the
    /// longest ago.
    #[must_use]
    pub fn next(&self) -> Option<JobId> {
        self.jobs().min_by_key(|(_, node)| node.read_at.map_or(0, |read| read + 1)).map(|(id, _)| id)
    }

    /// Whether some were not read yet.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.nodes.values().any(|node| node.read_at.is_none())
    }

    /// Takes in what a job itself is, which its relations do not tell.
    pub fn take_job(&mut self, id: JobId, handler: HandlerPath, state: State) {
        if let Some(node) = self.nodes.get_mut(&id) {
            (node.handler, node.state) = (Some(handler), Some(state));
        }
    }

    /// Takes in the relations of a job.
    pub fn take(&mut self, of: JobId, relations: &Relations) {
        self.reads += 1;
        let read_at = self.reads;
        let has_more = relations.children.next.is_some();
        if let Some(node) = self.nodes.get_mut(&of) {
            (node.read_at, node.has_more) = (Some(read_at), has_more);
        }
        self.is_cut |= has_more;
        for parent in &relations.parents {
            self.take_relative((parent.id, of), parent);
        }
        for child in &relations.children.items {
            self.take_relative((of, child.id), child);
        }
    }

    /// Says that the relations of a job cannot be read, so that it is not asked for again and again.
    pub fn pass_over(&mut self, of: JobId) {
        self.reads += 1;
        let read_at = self.reads;
        if let Some(node) = self.nodes.get_mut(&of) {
            node.read_at = Some(read_at);
        }
    }

    fn take_relative(&mut self, link: (JobId, JobId), relative: &Relative) {
        if !self.know(relative.id) {
            self.is_cut = true;
            return;
        }
        if let Some(node) = self.nodes.get_mut(&relative.id) {
            node.state = relative.state;
            let path = relative.module.clone().zip(relative.handler.clone());
            node.handler = path.map(|(module, handler)| HandlerPath { module, handler });
        }
        self.links.insert(link, Link { on: relative.on, met: relative.met });
    }

    /// Whether there is room for a job, or it is there already.
    fn know(&mut self, id: JobId) -> bool {
        if self.nodes.contains_key(&id) {
            return true;
        }
        if self.nodes.len() >= MOST_JOBS {
            return false;
        }
        self.nodes.insert(id, Node { handler: None, state: None, read_at: None, has_more: false });
        self.order.push(id);
        true
    }

    /// In which column each job stands: right of all its parents.
    fn columns(&self) -> Vec<Vec<JobId>> {
        let mut column: BTreeMap<JobId, usize> = self.order.iter().map(|id| (*id, 0)).collect();
        // A job is made after its parents, so that there are no circles; were one told, this would end all the same.
        for _ in 0..self.nodes.len() {
            let mut is_done = true;
            for (parent, child) in self.links.keys() {
                let least = column.get(parent).copied().unwrap_or_default() + 1;
                if let Some(own) = column.get_mut(child).filter(|own| **own < least && least < MOST_JOBS) {
                    (*own, is_done) = (least, false);
                }
            }
            if is_done {
                break;
            }
        }
        // A parent that was found by its child stands right before it, not at the far left.
        for id in self.order.iter().rev() {
            let nearest = self.children(*id).filter_map(|(child, _)| column.get(&child)).min().copied();
            if let (Some(nearest), Some(own)) = (nearest, column.get_mut(id)) {
                *own = (*own).max(nearest.saturating_sub(1));
            }
        }
        let mut columns = vec![Vec::new(); column.values().max().map_or(0, |last| last + 1)];
        for id in &self.order {
            columns[column.get(id).copied().unwrap_or_default()].push(*id);
        }
        columns.retain(|column| !column.is_empty());
        columns
    }

    /// Where everything is drawn.
    #[must_use]
    pub fn draw(&self) -> Drawing {
        let mut columns = self.columns();
        self.untangle(&mut columns);
        let tallest = columns.iter().map(Vec::len).max().unwrap_or_default();
        let height_of = |jobs: usize| {
            let jobs = size(jobs);
            (jobs * (JOB_HEIGHT + GAP_DOWN) - GAP_DOWN).max(0.0)
        };
        let all_high = height_of(tallest);
        let mut places = BTreeMap::new();
        let mut jobs = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let x = EDGE + size(at) * (JOB_WIDTH + GAP_ACROSS);
            // Short columns stand in the middle of tall ones.
            let top = EDGE + (all_high - height_of(column.len())) / 2.0;
            for (row, id) in column.iter().enumerate() {
                let y = top + size(row) * (JOB_HEIGHT + GAP_DOWN);
                places.insert(*id, (x, y));
                jobs.push(Placed { id: *id, x, y });
            }
        }
        let line = |((parent, child), link): (&(JobId, JobId), &Link)| {
            let ((from_x, from_y), (to_x, to_y)) = (*places.get(parent)?, *places.get(child)?);
            let middle = JOB_HEIGHT / 2.0;
            Some(Line { link: *link, from: (from_x + JOB_WIDTH, from_y + middle), to: (to_x, to_y + middle) })
        };
        Drawing {
            jobs,
            lines: self.links.iter().filter_map(line).collect(),
            width: 2.0 * EDGE + (size(columns.len()) * (JOB_WIDTH + GAP_ACROSS) - GAP_ACROSS).max(0.0),
            height: 2.0 * EDGE + all_high,
        }
    }

    /// Puts each job where its parents are, and then where its children are, so that few lines cross.
    fn untangle(&self, columns: &mut [Vec<JobId>]) {
        for _ in 0..2 {
            for at in 1..columns.len() {
                let near = rows(&columns[at - 1]);
                sort(&mut columns[at], |id| mean(self.parents(id).filter_map(|(other, _)| near.get(&other))));
            }
            for at in (0..columns.len().saturating_sub(1)).rev() {
                let near = rows(&columns[at + 1]);
                sort(&mut columns[at], |id| mean(self.children(id).filter_map(|(other, _)| near.get(&other))));
            }
        }
    }
}

impl Drawing {
    /// Which job a key leads to from one.
    #[must_use]
    pub fn beside(&self, graph: &Graph, from: JobId, to: Direction) -> Option<JobId> {
        let here = self.jobs.iter().find(|placed| placed.id == from)?;
        let distance = |placed: &&Placed| {
            #[expect(clippy::cast_possible_truncation, reason = "pixels")]
            let far = ((placed.y - here.y).abs() * 16.0) as i64;
            far
        };
        let related: Vec<_> = match to {
            Direction::Left => graph.parents(from).map(|(id, _)| id).collect(),
            Direction::Right => graph.children(from).map(|(id, _)| id).collect(),
            Direction::Up | Direction::Down => {
                let in_column = |placed: &&Placed| (placed.x - here.x).abs() < 1.0;
                let is_there =
                    |placed: &&Placed| if to == Direction::Up { placed.y < here.y } else { placed.y > here.y };
                return self
                    .jobs
                    .iter()
                    .filter(in_column)
                    .filter(is_there)
                    .min_by_key(distance)
                    .map(|placed| placed.id);
            }
        };
        self.jobs.iter().filter(|placed| related.contains(&placed.id)).min_by_key(distance).map(|placed| placed.id)
    }
}

fn rows(column: &[JobId]) -> BTreeMap<JobId, usize> {
    column.iter().enumerate().map(|(row, id)| (*id, row)).collect()
}

fn mean<'a>(rows: impl Iterator<Item = &'a usize>) -> Option<f64> {
    let (sum, count) = rows.fold((0.0, 0_usize), |(sum, count), row| (sum + size(*row), count + 1));
    (count > 0).then(|| sum / size(count))
}

/// Those without a wish stay where they are among the others.
fn sort(column: &mut [JobId], wish: impl Fn(JobId) -> Option<f64>) {
    let wished = column.iter().enumerate().map(|(row, id)| (wish(*id).unwrap_or(size(row)), *id)).collect();
    let wished = sorted(wished, |(one, _): &(f64, JobId), (other, _)| one.total_cmp(other));
    for (place, (_, id)) in column.iter_mut().zip(wished) {
        *place = id;
    }
}

/// A number of jobs, as lengths are.
fn size(number: usize) -> f64 {
    f64::from(u16::try_from(number).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use windlass_api::Page;

    use super::*;

    fn id(number: u32) -> JobId {
        format!("0199f3a8-7c00-7a3e-9c1d-{number:012x}").parse().unwrap()
    }

    fn relative(number: u32, state: State) -> Relative {
        Relative {
            id: id(number),
            module: Some("m".parse().unwrap()),
            handler: Some("h".parse().unwrap()),
            state: Some(state),
            on: ContinueOn::Success,
            met: false,
        }
    }

    fn relations(parents: &[u32], children: &[u32]) -> Relations {
        let many = |numbers: &[u32]| numbers.iter().map(|number| relative(*number, State::Awaiting)).collect();
        Relations { parents: many(parents), children: Page { items: many(children), next: None, searched_to: None } }
    }

    /// 1 and 2 before 3, 3 before 4 and 5, 1 before 5.
    fn diamond() -> Graph {
        let mut graph = Graph::of(id(3));
        graph.take(id(3), &relations(&[1, 2], &[4, 5]));
        graph.take(id(1), &relations(&[], &[3, 5]));
        for leaf in [2, 4, 5] {
            graph.pass_over(id(leaf));
        }
        graph
    }

    #[test]
    fn what_nobody_has_read_is_read_first_and_then_what_was_read_the_longest_ago() {
        let mut graph = Graph::of(id(3));
        assert_eq!(graph.next(), Some(id(3)));
        graph.take(id(3), &relations(&[1], &[4]));
        assert!(graph.is_growing());
        assert_eq!(graph.next(), Some(id(1)));
        graph.take(id(1), &relations(&[], &[3]));
        graph.pass_over(id(4));
        assert!(!graph.is_growing());
        assert_eq!(graph.next(), Some(id(3)));
    }

    #[test]
    fn parents_stand_left_of_their_children_and_no_two_jobs_in_one_place() {
        let graph = diamond();
        let drawing = graph.draw();
        let x = |number| drawing.jobs.iter().find(|placed| placed.id == id(number)).unwrap().x;
        assert!(x(1) < x(3) && x(2) < x(3) && x(3) < x(4) && x(3) < x(5));
        assert_eq!((drawing.jobs.len(), drawing.lines.len()), (5, 5));
        for (at, one) in drawing.jobs.iter().enumerate() {
            for other in &drawing.jobs[at + 1..] {
                assert!((one.x - other.x).abs() >= JOB_WIDTH || (one.y - other.y).abs() >= JOB_HEIGHT);
            }
            assert!(one.x + JOB_WIDTH <= drawing.width && one.y + JOB_HEIGHT <= drawing.height);
        }
    }

    #[test]
    fn keys_lead_to_parents_to_children_and_up_and_down() {
        let graph = diamond();
        let drawing = graph.draw();
        let beside = |from, to| drawing.beside(&graph, id(from), to);
        assert!([Some(id(1)), Some(id(2))].contains(&beside(3, Direction::Left)));
        assert!([Some(id(4)), Some(id(5))].contains(&beside(3, Direction::Right)));
        assert_eq!(beside(3, Direction::Up), None);
        let (upper, lower) = if beside(1, Direction::Down).is_some() { (1, 2) } else { (2, 1) };
        assert_eq!(beside(upper, Direction::Down), Some(id(lower)));
        assert_eq!(beside(lower, Direction::Up), Some(id(upper)));
        assert_eq!(beside(4, Direction::Right), None);
    }

    #[test]
    fn a_job_with_more_children_than_are_shown_says_so() {
        let mut graph = Graph::of(id(0));
        let mut many = relations(&[], &(1..=150).collect::<Vec<_>>());
        many.children.next = Some("more".to_owned());
        graph.take(id(0), &many);
        assert_eq!(graph.jobs().count(), MOST_JOBS);
        assert!(graph.is_cut && graph.node(id(0)).unwrap().has_more);
        assert_eq!(graph.draw().jobs.len(), MOST_JOBS);
    }

    #[test]
    fn a_circle_that_nobody_could_make_ends_as_well() {
        let mut graph = Graph::of(id(1));
        graph.take(id(1), &relations(&[2], &[2]));
        graph.take(id(2), &relations(&[1], &[1]));
        assert_eq!(graph.draw().jobs.len(), 2);
    }

    #[test]
    fn a_long_chain_stands_in_one_row() {
        let mut graph = Graph::of(id(1));
        for number in 1..=40 {
            graph.take(id(number), &relations(&[], &[number + 1]));
        }
        let drawing = graph.draw();
        assert_eq!(drawing.jobs.len(), 41);
        assert!(drawing.jobs.iter().all(|placed| placed.y == drawing.jobs[0].y));
        assert!(drawing.jobs.windows(2).all(|two| two[0].x < two[1].x));
    }
}
