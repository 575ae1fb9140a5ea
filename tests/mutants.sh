#!/bin/bash
# mutants.sh BUILD: breaks one thing at a time and demands that a named test notices.
# A mutant is a compile-time name in one source file: that file alone is compiled with -DNAME, and the test is linked with it in front of the
# library, whose own copy of the file is then left out. `make test-mutants` builds library and tests first.
# To add one: an #ifdef MUTANT_... in the code, and a line here.
set -u
build=${1:-build}
table="
# name                        source                    test program       the test that must fail
MUTANT_NO_DT_NORM             engine/jamba/cpu.c        test_golden        test_scalar_path_equals_the_reference_layer_by_layer
MUTANT_SWAP_BC                engine/jamba/cpu.c        test_golden        test_scalar_path_equals_the_reference_layer_by_layer
MUTANT_ROPE                   engine/jamba/cpu.c        test_golden        test_scalar_path_equals_the_reference_layer_by_layer
MUTANT_LOSE_STATE_AT_CHUNK    engine/jamba/cpu.c        test_session       test_every_path_is_invariant
MUTANT_NO_COPY_ON_WRITE       engine/jamba/state.c      test_session       test_a_fork_equals_a_fresh_reading
MUTANT_TOPK_TIE               kernels/cpu/moe.c         test_kernels       test_router_takes_the_largest_with_their_own_weights
MUTANT_EXPERT_SWAP            kernels/cpu/moe.c         test_kernels       test_router_takes_the_largest_with_their_own_weights
MUTANT_RENORMALISE_ROUTER     kernels/cpu/moe.c         test_kernels       test_router_takes_the_largest_with_their_own_weights
MUTANT_K_SCALE                engine/jamba/tensor.c     test_tensor        test_blocks_dequantise_as_gguf_py_does
MUTANT_FUSED_HALVES           engine/jamba/safetensors.c test_published    test_layouts_of_the_same_weights_are_the_same_model
MUTANT_ATTENTION_OFFSET       engine/jamba/config.c     test_published     test_published_configs_give_the_published_model
MUTANT_FORCED_RUN             engine/jamba/generate.c   test_constraint    test_forced_runs_are_read_at_once_to_the_same_bits
MUTANT_CHOICE_FORGETS_END     engine/jamba/constraint.c test_constraint    test_a_choice_is_one_of_its_strings_and_can_end_inside_another
MUTANT_PATTERN_FORGETS_END    engine/jamba/pattern.c    test_constraint    test_what_a_pattern_lets_through_matches
MUTANT_UTF8_RANGE             engine/jamba/pattern_parse.c test_constraint test_patterns_match_as_pcre2_does
MUTANT_CHOICE_TIE             kernels/cpu/choose.c      test_choose        test_chances_are_as_the_weights
MUTANT_NUCLEUS_TIES           kernels/cpu/choose.c      test_choose        test_the_choice_equals_one_that_sorts
MUTANT_CHAT_TEXT_AS_PROMPT    engine/jamba/chat.c       test_chat          test_foreign_text_is_never_a_control_token
MUTANT_QUOTE_OFFSET           engine/analysis/quote.c   test_analysis      test_an_answer_is_a_quote_with_its_place
"
libraries="-lsqlite3 -lcurl -lpcre2-8 -lzip -lexpat -lxml2 -lseccomp -lmicrohttpd -ljansson -lm -lcmocka"
survivors=0
while read -r name source test case; do
    case $name in '' | '#'*) continue ;; esac
    dir=$build/mutants/$name
    object=$dir/obj/$source.o
    program=$dir/$test
    if ! make -s BUILD="$dir" CUDA=0 EXTRA_CFLAGS="-D$name" "$object" ||
        ! gcc -pthread -o "$program" "$build/obj/tests/unit/$test.c.o" "$object" "$build/obj/libantinomy.a" $libraries; then
        echo "NOT BUILT  $name"
        survivors=$((survivors + 1))
        continue
    fi
    TEST_FILTER=$case timeout 300 "$program" >"$dir/log" 2>&1
    if grep -q "FAILED  \] $case" "$dir/log"; then
        echo "killed     $name by $case"
    else
        echo "SURVIVED   $name (see $dir/log)"
        survivors=$((survivors + 1))
    fi
done <<<"$table"
if [ $survivors -gt 0 ]; then
    echo "$survivors mutants survived"
    exit 1
fi
