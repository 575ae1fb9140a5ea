/* test_tensor.c: block types against gguf-py's dequantisation (tests/golden/quants), fp16 over all its values. */
#include "engine/jamba/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_blocks_dequantise_as_gguf_py_does(void **state) {
    struct buf b = {0};
    struct error e = {0};
    int n_types = 0;
    (void)state;
    assert_int_equal(file_read("tests/golden/quants/blocks.bin", 1 << 20, &b, &e), 0);
    for (size_t at = 0; at < b.len; n_types++) {
        uint32_t head[3];
        memcpy(head, b.data + at, sizeof head);
        at += sizeof head;
        enum tensor_type type = (enum tensor_type)head[0];
        assert_int_equal(tensor_row_bytes(type, head[1]), head[2]);
        float *got = malloc(head[1] * sizeof *got), *want = malloc(head[1] * sizeof *want);
        assert_non_null(got);
        assert_non_null(want);
        memcpy(want, b.data + at + head[2], head[1] * sizeof *want);
        tensor_row_to_f32(type, b.data + at, got, head[1]);
        for (uint32_t i = 0; i < head[1]; i++)
            if (fabsf(got[i] - want[i]) >
                1e-6f * fabsf(want[i])) /* the order of d * scale * q may differ by a rounding */
                fail_msg("%s: value %u is %g, not %g", tensor_type_name(type), i, (double)got[i], (double)want[i]);
        free(got);
        free(want);
        at += head[2] + head[1] * sizeof(float);
    }
    assert_int_equal(n_types, 9);
    buf_free(&b);
}

static void test_f16_is_exact_over_all_values(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t bits = (uint16_t)h;
        float got;
        int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
        tensor_row_to_f32(TENSOR_F16, &bits, &got, 1);
        if (exponent == 31) {
            assert_true(mantissa ? isnan(got) : isinf(got));
            continue;
        }
        double want = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        assert_true((double)got == (h & 0x8000 ? -want : want));
    }
}

static void test_rows_are_whole_blocks(void **state) {
    (void)state;
    assert_int_equal(tensor_row_bytes(TENSOR_F32, 5), 20);
    assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 576), 324);
    assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 48), 0);
    assert_int_equal(tensor_row_bytes(TENSOR_Q6_K, 160), 0);
    assert_int_equal(tensor_row_bytes(TENSOR_Q2_K, 256), 0); /* not supported */
    assert_int_equal(tensor_row_bytes((enum tensor_type)77, 256), 0);
    assert_int_equal(tensor_row_bytes(TENSOR_F32, UINT64_MAX / 2), 0); /* no overflow */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_dequantise_as_gguf_py_does),
        cmocka_unit_test(test_f16_is_exact_over_all_values),
        cmocka_unit_test(test_rows_are_whole_blocks),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
