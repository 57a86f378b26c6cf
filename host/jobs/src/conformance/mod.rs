//! What every storage must do, as behaviours that a backend's tests run one by one.
//!
//! A backend calls [`conformance_suite!`](crate::conformance_suite) with a function that opens an empty storage on the
//! clock it is given; each behaviour becomes a test of its own name. A behaviour fails by panicking. With the word `faulty`
//! behind the function, each behaviour is shown on a storage whose calls fail first, to a caller that repeats them:
//! [`faulty`] says what that means, and is there for tests of others too. [`differences`] carries out the same random
//! commands on two storages.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests, and a panic is how a test fails")]
#![expect(missing_docs, reason = "the names are sentences")]

pub mod auditing;
pub mod claiming;
pub mod commanding;
pub mod counting;
mod decorate;
pub mod deploying;
pub mod draining;
pub mod enduring;
pub mod enqueueing;
pub mod expiring;
pub mod faulty;
pub mod fencing;
pub mod flowing;
pub mod limiting;
pub mod listing;
pub mod losing;
pub mod model;
pub mod moving;
pub mod noting;
mod persistent;
mod random;
pub mod recurring;
pub mod refusing;
pub mod repeating;
pub mod searching;
pub mod settling;
pub mod sharing;
pub mod timing;
pub mod uniting;
pub mod waking;
mod world;

pub use model::differences;
pub use world::{Ground, Kept, Opened, World, run, run_faulty};

/// Makes a test of each behaviour. Give it a function `async fn(Arc<TestClock>) -> Opened`, and `faulty` where each call is
/// to fail first.
#[macro_export]
macro_rules! conformance_suite {
    ($open:path) => {
        $crate::conformance_suite! { @ run $open }
    };
    ($open:path, faulty) => {
        $crate::conformance_suite! { @ run_faulty $open }
    };
    (@ $run:ident $open:path) => {
        $crate::conformance_suite! { @ $run $open;
            enqueueing {
                a_repeated_enqueue_of_the_same_id_makes_one_job,
                a_job_starts_now_later_or_when_its_handler_comes,
                a_job_reads_back_as_it_was_made,
                work_is_signalled_when_a_job_is_stored,
            }
            claiming {
                the_first_priority_and_then_the_oldest_is_claimed_first,
                no_more_are_claimed_of_a_mode_than_it_has_free_slots,
                queues_are_taken_in_the_order_asked_for,
                without_queues_the_best_of_all_is_taken,
                the_best_of_many_queues_is_found_whatever_has_changed_them,
                a_paused_queue_is_passed_over_until_it_is_resumed,
                a_server_that_is_not_known_gets_nothing,
                no_job_is_claimed_twice,
            }
            fencing {
                a_second_settlement_of_a_run_changes_nothing,
                a_run_that_was_swept_away_can_write_nothing,
                a_run_of_before_a_requeue_can_write_nothing,
                another_server_with_the_same_run_number_can_write_nothing,
            }
            settling {
                a_success_keeps_its_result,
                a_retry_counts_and_comes_back_after_its_delay,
                a_snooze_gives_its_attempt_back_but_never_its_run,
                a_failure_keeps_its_cause,
                a_released_job_goes_back_to_the_head_of_its_line,
                a_job_of_the_other_mode_goes_to_the_other_line,
                follow_ups_come_with_the_success_and_only_with_it,
                the_history_tells_the_life_of_a_job_in_order,
                what_a_run_used_is_kept,
                the_end_of_a_job_is_told,
            }
            commanding {
                jobs_that_are_removed_in_one_step_become_what_each_by_itself_would,
                a_waiting_job_is_cancelled_at_once,
                a_running_job_is_asked_to_stop_and_deleted_when_it_has,
                a_cancel_turns_a_retry_a_snooze_and_a_release_into_a_deletion,
                a_success_wins_over_a_cancel,
                a_cancel_turns_the_failure_of_the_last_attempt_into_a_deletion,
                a_finished_job_cannot_be_cancelled_but_deleted,
                a_requeue_starts_the_count_anew,
                a_requeue_is_refused_in_another_state_than_expected,
                a_job_that_waits_or_runs_is_not_requeued,
                a_fresh_requeue_forgets_checkpoints_and_another_keeps_them,
                a_command_on_no_job_finds_none,
            }
            losing {
                a_lost_servers_job_is_enqueued_with_its_attempt_counted,
                a_job_that_loses_three_servers_is_poison,
                a_lost_job_without_attempts_left_fails,
                a_lost_job_whose_cancel_was_asked_for_is_deleted,
                the_end_of_a_job_that_ends_with_its_server_is_told,
                a_server_that_has_beaten_again_is_not_swept,
                a_swept_server_is_refused_and_gets_no_jobs,
                a_server_that_leaves_gives_its_attempts_back,
                a_server_is_shown_with_its_slots_until_it_leaves,
                a_requeue_counts_losses_and_attempts_anew,
            }
            timing {
                a_scheduled_job_is_promoted_to_the_millisecond,
                no_more_are_promoted_than_asked_for,
                ended_jobs_are_pruned_when_their_time_is_over,
                a_prune_removes_no_more_than_asked_for,
            }
            deploying {
                a_version_is_known_before_it_is_active,
                a_job_keeps_the_version_of_its_first_run,
                a_requeue_may_ask_for_the_newest_version,
                an_activation_wakes_the_jobs_that_wait_for_their_handler,
                a_job_whose_handler_vanished_waits_for_it,
                an_activation_moves_waiting_jobs_to_their_handlers_new_mode,
                an_older_version_that_is_activated_again_is_the_one_that_new_jobs_go_to,
                a_version_that_is_deployed_again_stays_as_it_is,
                a_canary_gets_the_jobs_that_fall_to_it_and_those_only,
                a_canary_gets_no_job_for_a_handler_that_it_lacks,
                an_activation_ends_the_canary,
                a_module_has_one_canary_at_most,
                jobs_that_wait_on_a_version_are_let_go,
                a_canary_is_moved_with_its_share,
                a_version_that_nobody_needs_is_retired_and_comes_back_when_it_is_deployed_again,
                a_version_that_is_live_or_that_jobs_need_is_not_retired,
                a_component_stays_while_another_module_has_it,
            }
            listing {
                a_filter_lets_pass_what_matches_all_of_it,
                pages_neither_repeat_nor_skip_while_jobs_are_added,
                a_cursor_that_is_none_is_refused,
                the_counts_agree_with_a_full_listing,
                queues_are_shown_with_what_waits_in_them,
            }
            noting {
                progress_is_kept_for_its_run_only,
                a_log_is_followed_by_its_cursor,
                a_log_ends_at_its_limit_and_says_so,
                each_run_that_finds_the_log_full_says_so_once,
                a_requeue_starts_the_log_anew,
                a_checkpoint_outlives_its_attempt,
                checkpoints_are_refused_beyond_their_limits,
                a_superseded_note_among_good_ones_keeps_them_from_nothing,
            }
            recurring {
                an_entry_reads_back_as_it_was_put_with_its_revision,
                an_entry_of_another_revision_is_left_alone_and_nothing_enqueued,
                an_instant_that_two_fire_is_fired_once,
                the_jobs_of_an_entry_tell_which_one_made_them,
                entries_are_due_in_the_order_of_their_instants,
                a_paused_entry_is_not_due,
                an_entry_is_removed_and_its_jobs_stay,
                entries_are_listed_by_name_page_by_page,
                a_job_of_an_entry_that_is_there_already_stays_as_it_is,
                an_entry_that_was_removed_and_put_again_takes_no_revision_of_the_old_one,
                an_entry_whose_job_must_not_stand_beside_another_names_that_one_as_left_out,
            }
            counting {
                the_rows_of_minutes_and_hours_tell_what_was_done,
                a_job_that_fails_with_its_server_counts_as_failed_but_not_as_a_run,
                what_is_refused_or_repeated_is_not_counted,
                counters_are_asked_for_by_time_module_and_handler,
                no_more_than_the_newest_spans_are_read,
                old_counters_are_pruned_and_hours_are_kept_longer,
                a_run_that_never_began_is_not_counted_as_one,
            }
            searching {
                a_list_is_bounded_by_when_jobs_were_made,
                a_text_is_found_in_a_payload_and_in_the_message_of_a_failure,
                a_search_goes_on_where_it_was_cut_short_and_misses_nothing,
                jobs_are_found_by_their_time_also_after_the_clock_was_set_back,
                a_count_agrees_with_the_list,
                a_count_stops_at_its_limit_and_says_so,
                where_two_filters_meet_what_passes_is_found_behind_ten_thousand_that_do_not,
                two_filters_that_meet_here_and_there_give_each_job_once,
                pages_under_a_filter_neither_repeat_nor_skip_while_jobs_move,
            }
            moving {
                an_import_into_an_empty_storage_makes_it_equal,
                what_was_imported_is_claimed_in_the_same_order_and_goes_on,
                importing_twice_changes_nothing,
                a_job_that_was_processing_comes_back_to_its_line,
                losses_are_moved_too,
                an_import_into_a_storage_that_is_used_keeps_to_the_order_of_making,
                an_import_is_taken_wholly_or_not_at_all_and_a_cursor_that_is_none_refused,
            }
            enduring {
                a_stale_run_among_good_ones_does_not_keep_them_from_settling,
                what_is_empty_does_nothing,
                a_follow_up_that_is_there_already_stays_as_it_is,
                follow_ups_into_a_paused_queue_wait_until_it_is_resumed,
                many_that_claim_at_once_never_get_the_same_job,
                many_that_promote_at_once_move_each_job_once,
                a_sweep_while_its_server_claims_leaves_no_job_behind,
                a_server_that_nobody_knows_is_refused_and_may_leave,
                a_job_is_deleted_and_requeued_from_every_state_that_allows_it,
                a_large_payload_and_result_come_back_as_they_were,
                odd_text_comes_back_as_it_was,
                a_job_may_have_very_many_tags_and_each_finds_it,
                every_priority_is_taken_in_its_turn_whatever_the_age,
                a_thousand_jobs_are_claimed_and_settled_at_once,
                whoever_makes_a_job_stands_in_the_first_line_of_its_history,
                a_pruned_job_leaves_nothing_behind_for_another_of_its_id,
                findings_are_sentences_the_worst_first,
            }
            repeating {
                a_repeated_enqueue_finds_its_jobs,
                a_repeated_settlement_is_superseded_and_made_its_follow_ups_once,
                jobs_whose_claim_was_lost_come_back_when_their_server_leaves,
                a_repeated_command_is_refused_with_the_state_that_it_led_to,
                a_repeated_put_of_an_entry_changes_nothing_and_its_jobs_are_there_once,
                what_time_or_an_operator_brings_is_done_once,
            }
            refusing {
                a_batch_with_a_job_that_is_refused_stores_none_of_its_jobs,
                an_import_with_a_job_that_is_refused_takes_nothing_at_all,
                a_recurring_job_whose_job_is_refused_is_left_as_it_was,
                a_settlement_whose_follow_up_is_refused_ends_no_run,
            }
            sharing {
                what_was_acknowledged_is_there_after_it_is_closed_and_opened_again,
                a_run_that_went_on_while_it_was_closed_ends_or_comes_back,
                jobs_that_one_stores_another_sees_claims_and_ends,
                what_one_sets_for_queues_modules_and_recurring_jobs_holds_for_another,
            }
            waking {
                a_requeue_tells_of_work,
                jobs_whose_instant_has_come_tell_of_work_when_they_are_promoted,
                a_queue_that_is_resumed_tells_of_work,
                a_run_that_is_to_be_tried_again_tells_of_work,
                a_follow_up_tells_of_work,
                jobs_of_a_lost_server_tell_of_work,
                an_activation_that_brings_a_handler_tells_of_work,
                a_recurring_job_tells_of_work_when_it_has_an_instant_or_is_fired,
                an_import_tells_of_work,
            }
            flowing {
                a_continuation_waits_for_all_of_its_parents,
                the_children_of_a_job_are_shown_in_the_order_of_their_making,
                a_failed_parent_holds_those_that_want_its_success_until_it_is_requeued,
                a_failure_releases_those_that_want_it_and_a_success_deletes_them,
                whatever_happens_releases_those_that_want_just_the_end,
                a_deleted_parent_deletes_its_children_and_theirs,
                parents_that_have_ended_are_judged_when_the_child_is_made,
                a_parent_that_is_not_there_is_refused_and_nothing_stored,
                a_job_may_continue_one_of_the_same_call,
                a_continuation_starts_as_asked_from_when_its_parents_are_done,
                an_activation_leaves_alone_what_waits_for_its_parents,
                a_child_that_is_requeued_or_deleted_no_longer_waits,
                a_follow_up_may_continue_the_job_that_made_it,
                a_lost_servers_jobs_release_their_children_when_they_end,
                a_child_that_is_released_tells_of_work_and_one_that_is_deleted_of_its_end,
                a_long_chain_is_deleted_step_by_step,
                many_children_are_released_step_by_step,
                a_succeeded_parent_is_kept_while_a_child_is_unfinished,
                with_a_failed_parent_that_is_removed_those_that_wait_for_it_are_deleted,
                what_waits_for_its_parents_waits_for_them_where_it_is_moved,
            }
            uniting {
                a_second_job_of_a_key_is_refused_while_the_first_is_unfinished,
                the_states_and_the_period_of_the_newer_rule_decide,
                a_conflict_within_a_call_refuses_the_whole_call,
                the_existing_job_is_given_instead_where_that_is_asked_for,
                a_repeated_enqueue_of_a_unique_job_finds_itself,
                a_replacement_gives_the_waiting_job_its_payload_and_time,
                a_requeue_is_refused_where_another_job_holds_the_key,
                a_follow_up_or_a_recurring_job_that_conflicts_is_left_out,
                a_job_that_replaces_another_brings_its_own_expiry,
                a_removed_job_leaves_its_key_free,
                many_that_enqueue_at_once_make_one_job_of_a_key,
                a_unique_job_that_is_moved_holds_its_key_there,
            }
            expiring {
                a_job_that_was_not_started_in_time_is_deleted,
                a_claim_hands_over_nothing_that_has_expired,
                a_job_that_has_been_started_no_longer_expires,
                a_job_that_is_requeued_no_longer_expires,
                expiries_are_done_in_bounded_steps,
                an_expiry_is_moved_with_its_job,
            }
            limiting {
                a_limit_reads_back_as_it_was_put,
                no_more_run_at_once_than_a_limit_allows,
                each_way_out_of_a_run_gives_its_place_back,
                every_limit_that_applies_must_have_room,
                the_longest_start_of_a_key_is_its_limit,
                no_more_start_in_a_period_than_a_rate_allows,
                jobs_that_were_moved_back_are_followed_by_others_when_they_were_taken,
                a_job_that_meets_another_limit_makes_way_for_the_next_at_once,
                a_limit_on_very_many_keys_changes_in_bounded_steps,
                a_limit_that_is_put_counts_what_runs_already,
                a_limit_that_is_raised_or_removed_lets_go_of_what_it_held,
                jobs_behind_a_full_limit_hold_up_no_others,
                a_job_that_is_held_is_commanded_and_listed_like_any_other,
                a_held_job_of_a_paused_queue_waits_until_that_is_resumed,
                limits_are_moved_and_held_jobs_with_them,
                what_has_no_limit_is_as_it_was,
            }
            auditing {
                entries_are_read_from_the_newest_on_page_by_page,
                a_cursor_that_is_none_of_the_audit_log_is_refused,
                old_entries_are_pruned,
                the_audit_log_is_moved_where_there_is_none_yet,
                entries_that_are_alike_stay_as_many_however_they_are_moved,
            }
            draining {
                whatever_is_done_no_job_is_left_behind_and_no_limit_exceeded,
            }
            model {
                whatever_is_done_the_storage_agrees_with_the_model,
            }
        }
    };
    (@ $run:ident $open:path; $($group:ident { $($name:ident,)* })*) => {
        $(mod $group {
            use super::*;
            $(
                #[test]
                fn $name() {
                    $crate::conformance::$run($open, $crate::conformance::$group::$name);
                }
            )*
        })*
    };
}
