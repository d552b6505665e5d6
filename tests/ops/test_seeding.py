import torch
from hypothesis import given
from hypothesis import strategies as st

from vislab.ops.seeding import generator, seed_of

keys = st.lists(st.integers() | st.text(max_size=5), max_size=4).map(tuple)


def test_a_seed_is_what_it_was_when_this_was_written():
    # The first eight bytes of `printf '(3, 0, 17)' | sha256sum`, and of "('order',)", halved.
    assert seed_of(3, 0, 17) == 1_459_446_969_421_024_305
    assert seed_of("order") == 6_043_966_315_810_227_683


@given(one=keys, other=keys)
def test_two_keys_never_share_a_seed(one, other):
    assert (seed_of(*one) == seed_of(*other)) == (one == other)


def test_a_key_is_its_parts_and_not_the_digits_written_one_after_another():
    cuts = [(1, 23), (12, 3), (123,), (1, 2, 3), ("1", 23), ("1, 23",), (23, 1), (1, 23, "")]
    assert len({seed_of(*key) for key in cuts}) == len(cuts)


@given(key=keys)
def test_a_seed_fits_the_63_bits_that_torch_and_numpy_take(key):
    assert 0 <= seed_of(*key) < 2**63


@given(key=keys)
def test_the_same_key_draws_the_same_numbers_and_leaves_the_global_generator_alone(key):
    before = torch.get_rng_state()
    first, again = (torch.rand(7, generator=generator(*key)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_neighbouring_keys_draw_unrelated_numbers():
    draws = torch.stack([torch.randn(4000, generator=generator(0, 0, n)) for n in range(12)])
    apart = torch.corrcoef(draws) - torch.eye(12)
    assert apart.abs().max() < 6 / 4000**0.5
