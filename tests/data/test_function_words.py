"""Function words are those of the language that a text is in."""

import pytest

from svebm_ext.data.documents import english_stop_words
from svebm_ext.data.function_words import FUNCTION_WORDS, function_words_of

TEXTS = {
    "German": "Das Spiel ist für zwei Personen und wird mit Karten gespielt",
    "French": "Une bibliothèque pour les images qui sont dans un fichier",
    "Spanish": "Un programa que muestra las imágenes de una carpeta y sus nombres",
    "Italian": "Un programma che mostra le immagini della cartella con i nomi",
    "Portuguese": "Um programa que mostra as imagens de uma pasta e não muda os nomes",
    "Dutch": "Een programma dat de beelden van een map toont en ook de namen",
    "Russian": "Это программа для тех кто хочет видеть все имена на одной странице",
    "English": "The man in the van was also on a die cast tour and so am I",
    "": "xq zw rrt plk mmn",
}


@pytest.mark.parametrize("language", TEXTS)
def test_the_language_of_a_text_decides(language):
    found = function_words_of([TEXTS[language].split()], english_stop_words())
    assert found == FUNCTION_WORDS.get(language, frozenset())


def test_capitals_do_not_count_and_no_text_has_no_language():
    assert function_words_of([["DER", "HUND"]], english_stop_words()) == FUNCTION_WORDS["German"]
    assert function_words_of([], english_stop_words()) == frozenset()
